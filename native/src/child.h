// Turns a forked copy of the server into a process that can only read its memory and write one descriptor.
#ifndef CHILD_H
#define CHILD_H

#include <stdint.h>

#include "watchdog.h"

typedef struct {
  // Beside the spill file the only descriptor of the parent that the child keeps.
  int output;
  // An unlinked file for memory that does not fit, or -1. It is kept too.
  int spill_file;
  // Bound of that file.
  uint64_t max_spill_bytes;
  // Bound of the child's new memory, a second fence behind the watchdog. It counts address space, so it is generous.
  uint64_t max_growth_bytes;
  // CPU time after which the child counts as stuck.
  uint64_t max_cpu_seconds;
  WatchdogOptions watchdog;
} ChildOptions;

// Call it first in the child, with all signals blocked. It uses system calls only: another thread of the parent may have
// held any lock at the fork. It ends the process when a step fails.
void set_up_child(const ChildOptions *options, int parent);

#endif
