// Ends or slows down the child when it would harm the server. A timer signal, not a thread: it works while V8 is deep in
// native code, and uses only calls that a signal handler may use.
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

enum { MAX_MEMORY_GROUPS = 8, MAX_PATH_BYTES = 512 };

// A cgroup with a memory limit.
typedef struct {
  char usage_file[MAX_PATH_BYTES];
  char stat_file[MAX_PATH_BYTES];
  // Above it memory of the child moves to the file, when there is one.
  uint64_t spill_above_bytes;
  // The child ends above it. The file cache does not count, because the kernel can drop it.
  uint64_t max_used_bytes;
} MemoryGroup;

typedef struct {
  double deadline_ms;
  // Share of one CPU core that the child may use, 0 to 1.
  double cpu_share;
  // The child ends when the machine has less memory available than this.
  uint64_t min_available_bytes;
  // Whether the child's memory can move to a file (spilled-memory.h).
  bool can_spill;
  MemoryGroup groups[MAX_MEMORY_GROUPS];
  int group_count;
} WatchdogOptions;

// Call it in the child. The handlers of all signals must be the default ones.
void start_watchdog(const WatchdogOptions *options, int parent);

// Call it when the child's memory has grown by a MiB: a tick would come too late for quick growth.
void check_memory(void);

#endif
