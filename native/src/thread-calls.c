#define _GNU_SOURCE
#include "thread-calls.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
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
