#define _GNU_SOURCE
#include "thread-calls.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "exit-codes.h"
#include "import-slots.h"

// A timed wait that is repeated so often is a loop that waits for a dead thread.
enum { MAX_TIMED_WAITS = 1000 };
static int timed_waits = 0;

static int ignore_signal(void *condition) {
  (void)condition;
  return 0;
}

static int refuse_wait(void *condition, void *mutex) {
  (void)condition, (void)mutex;
  _exit(EXIT_CONDITION);
}

static int time_out(void) {
  timed_waits += 1;
  if (timed_waits > MAX_TIMED_WAITS) _exit(EXIT_CONDITION);
  return ETIMEDOUT;
}

static int time_out_wait(void *condition, void *mutex, const struct timespec *until) {
  (void)condition, (void)mutex, (void)until;
  return time_out();
}

static int time_out_clock_wait(void *condition, void *mutex, int clock, const struct timespec *until) {
  (void)condition, (void)mutex, (void)clock, (void)until;
  return time_out();
}

static int lock_mutex(pthread_mutex_t *mutex) {
  int error = pthread_mutex_trylock(mutex);
  if (error == EBUSY || error == EDEADLK) _exit(EXIT_MUTEX);
  return error;
}

static int lock_for_reading(pthread_rwlock_t *lock) {
  int error = pthread_rwlock_tryrdlock(lock);
  if (error == EBUSY) _exit(EXIT_RWLOCK);
  return error;
}

static int lock_for_writing(pthread_rwlock_t *lock) {
  int error = pthread_rwlock_trywrlock(lock);
  if (error == EBUSY) _exit(EXIT_RWLOCK);
  return error;
}

static int take_semaphore(sem_t *semaphore) {
  if (sem_trywait(semaphore) != 0) _exit(EXIT_SEMAPHORE);
  return 0;
}

static int refuse_join(pthread_t thread, void **result) {
  (void)thread, (void)result;
  _exit(EXIT_JOIN);
}

// With a time that is over the kernel does not wait. It only tells whether the word still has the expected value.
static long refuse_futex_wait(long *arguments) {
  static const struct timespec over = {0, 0};
  bool has_timeout = arguments[3] != 0;
  arguments[3] = (long)&over;
  long result = syscall(SYS_futex, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
  if (result != 0 && errno == ETIMEDOUT) {
    if (!has_timeout) _exit(EXIT_MUTEX);
    errno = time_out();
  }
  return result;
}

// V8's locks of Node 26 (absl::Mutex) import no thread functions: they wait with this call. Reads six arguments, the most that a
// system call has, as the C libraries do.
static long call_system(long number, ...) {
  enum { ARGUMENTS = 6 };
  long arguments[ARGUMENTS];
  va_list list;
  va_start(list, number);
  for (int index = 0; index < ARGUMENTS; index++) arguments[index] = va_arg(list, long);
  va_end(list);
  long command = arguments[1] & FUTEX_CMD_MASK;
  if (number == SYS_futex && (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET)) return refuse_futex_wait(arguments);
  return syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

static const Replacement REPLACEMENTS[] = {
    {"pthread_cond_signal", ignore_signal},
    {"pthread_mutex_lock", lock_mutex},
    {"pthread_cond_broadcast", ignore_signal},
    {"pthread_cond_wait", refuse_wait},
    {"pthread_cond_timedwait", time_out_wait},
    {"pthread_cond_clockwait", time_out_clock_wait},
    {"pthread_rwlock_rdlock", lock_for_reading},
    {"pthread_rwlock_wrlock", lock_for_writing},
    {"sem_wait", take_semaphore},
    {"pthread_join", refuse_join},
    {"syscall", call_system},
};
// The first two must be found, or the child would hang.
enum { REQUIRED_COUNT = 2 };

static Slot slots[MAX_SLOTS];
static SlotList list = {
    .slots = slots,
    .replacements = REPLACEMENTS,
    .replacement_count = sizeof REPLACEMENTS / sizeof *REPLACEMENTS,
};

bool find_thread_calls(void) {
  find_slots(&list);
  for (int kind = 0; kind < REQUIRED_COUNT; kind++)
    if (!has_slot(&list, kind)) return false;
  return true;
}

bool replace_thread_calls(void) { return replace_slots(&list); }
