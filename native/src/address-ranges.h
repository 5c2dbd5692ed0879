// Lists of address ranges of this process, read from /proc, and advice to the kernel about them.
#ifndef ADDRESS_RANGES_H
#define ADDRESS_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t start;
  uint64_t end;
} AddressRange;

typedef struct {
  AddressRange *items;
  size_t count;
  size_t capacity;
} RangeList;

// All anonymous memory: V8's heap is in it. False when /proc/self/maps cannot be read or memory ran out.
bool read_anonymous_ranges(RangeList *list);

// The ranges that a fork leaves out (MADV_DONTFORK). V8 marks its heap so. Slow: the kernel walks the page tables, which
// takes 1 to 130 ms (docs/facts.md).
bool read_marked_ranges(RangeList *list);

// Returns 0, or the errno of a refusal. EINVAL is none: device memory cannot be advised.
int advise_ranges(const RangeList *list, int advice);

void free_ranges(RangeList *list);

#endif
