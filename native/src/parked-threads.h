// Tells whether every other thread of the process waits in the kernel, outside of any work.
#ifndef PARKED_THREADS_H
#define PARKED_THREADS_H

typedef enum { THREADS_PARKED, THREADS_BUSY, THREADS_UNREADABLE } ThreadsState;

enum { THREAD_NAME_SIZE = 32 };

// `busy_thread` gets the name of a thread that works.
ThreadsState read_threads_state(char busy_thread[THREAD_NAME_SIZE]);

#endif
