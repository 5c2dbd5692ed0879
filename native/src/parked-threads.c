#define _GNU_SOURCE
#include "parked-threads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Younger than some kernel headers. The numbers are the same on every architecture.
enum { EPOLL_PWAIT2 = 441, FUTEX_WAITV = 449 };

// System calls in which a thread waits for work, for input or for a child process. It may hold a lock in any other one,
// above all in those of the memory management.
static bool is_waiting_call(long number) {
  switch (number) {
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
#ifdef SYS_poll
    case SYS_poll:
#endif
#ifdef SYS_select
    case SYS_select:
#endif
    case SYS_futex:
    case SYS_epoll_pwait:
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_rt_sigtimedwait:
    case SYS_read:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_accept:
    case SYS_accept4:
    case SYS_wait4:
    case SYS_waitid:
    case EPOLL_PWAIT2:
    case FUTEX_WAITV:
      return true;
    default:
      return false;
  }
}

static ssize_t read_task_file(const char *thread, const char *name, char *text, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%s/%s", thread, name);
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return -1;
  ssize_t length = read(descriptor, text, size - 1);
  int error = errno;
  close(descriptor);
  errno = error;
  if (length >= 0) text[length] = '\0';
  return length;
}

// `syscall` is "running", or the number of the system call in which the thread waits, followed by its arguments.
static ThreadsState read_thread_state(const char *thread) {
  char text[256];
  if (read_task_file(thread, "syscall", text, sizeof text) < 0) {
    // The thread has ended.
    if (errno == ENOENT || errno == ESRCH) return THREADS_PARKED;
    return THREADS_UNREADABLE;
  }
  char *end;
  long number = strtol(text, &end, 10);
  return end != text && is_waiting_call(number) ? THREADS_PARKED : THREADS_BUSY;
}

ThreadsState read_threads_state(char busy_thread[THREAD_NAME_SIZE]) {
  busy_thread[0] = '\0';
  DIR *folder = opendir("/proc/self/task");
  if (folder == NULL) return THREADS_UNREADABLE;
  long self = syscall(SYS_gettid);
  ThreadsState state = THREADS_PARKED;
  for (struct dirent *entry = readdir(folder); entry != NULL && state == THREADS_PARKED; entry = readdir(folder)) {
    long thread = atol(entry->d_name);
    if (thread <= 0 || thread == self) continue;
    state = read_thread_state(entry->d_name);
    if (state == THREADS_BUSY && read_task_file(entry->d_name, "comm", busy_thread, THREAD_NAME_SIZE) > 0)
      busy_thread[strcspn(busy_thread, "\n")] = '\0';
  }
  closedir(folder);
  return state;
}
