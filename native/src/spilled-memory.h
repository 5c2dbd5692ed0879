// A range of memory whose least used parts move to a file when memory is short, and are read back when they are used. The
// file is unlinked, so nothing of it remains. One thread uses it. `evict_memory` may interrupt the other functions.
#ifndef SPILLED_MEMORY_H
#define SPILLED_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  // Moved to the file at once.
  GROUP_BYTES = 1 << 20,
  // 32 GiB: ten times a live heap of 3 GiB.
  MAX_GROUPS = 32 * 1024,
};

// Reserves address space for at most `max_bytes`. False when the kernel refuses.
bool open_spilled_memory(int file, uint64_t max_bytes);

// Its first byte, aligned to GROUP_BYTES.
char *spilled_memory_start(void);
size_t spilled_memory_bytes(void);

// Makes the memory before `end` usable. New memory reads as zero. False when `end` is beyond the reserved space.
bool extend_spilled_memory(size_t end);

// Gives memory and space in the file back. The bytes read as zero afterwards. Both numbers are multiples of the page size.
void discard_memory(size_t offset, size_t bytes);

// True while a call of these functions changes the memory. `evict_memory` would do nothing.
bool is_spilled_memory_changing(void);

// Moves about `bytes` out of memory, the least used first; or everything. False when the file cannot be written.
bool evict_memory(size_t bytes, bool is_everything);

#endif
