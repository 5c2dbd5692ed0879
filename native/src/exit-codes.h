// Exit codes of the child process. src/capture/forked-child.ts has the sentence for each.
#ifndef EXIT_CODES_H
#define EXIT_CODES_H

enum {
  EXIT_WRITTEN = 0,
  // The JavaScript callback threw.
  EXIT_CALLBACK = 81,
  // Memory ran short for the server.
  EXIT_MEMORY = 82,
  // The child would have waited for a thread that exists only in the parent.
  EXIT_CONDITION = 83,
  EXIT_MUTEX = 84,
  EXIT_RWLOCK = 85,
  EXIT_SEMAPHORE = 86,
  EXIT_JOIN = 87,
  // A system call of the child's set-up failed.
  EXIT_SETUP = 88,
  // The parent is gone.
  EXIT_ORPHAN = 89,
  EXIT_DEADLINE = 90,
  // The file for memory that does not fit cannot be written or read: the disk is full.
  EXIT_SPILL_FILE = 91,
};

#endif
