// Replaces the thread functions of libc in a process that has lost its other threads in a fork.
//
// V8's garbage collector posts jobs to threads that exist only in the parent, and signals them. glibc's condition
// variables still count those waiters, so that pthread_cond_signal waits for them for ever. Nobody needs the signal,
// because the thread that joins a job runs it itself. So signals do nothing, and a wait that cannot end ends the process.
#ifndef THREAD_CALLS_H
#define THREAD_CALLS_H

#include <stdbool.h>

// Finds the slots through which Node and its libraries call these functions. Call it in the parent. False when Node has
// no such slots: it is linked statically.
bool find_thread_calls(void);

// Call it in the child. False when the memory of a slot cannot be made writable.
bool replace_thread_calls(void);

#endif
