// The Node-API side of the forked heap capture: the steps of the parent, each a function that JavaScript calls.
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "address-ranges.h"
#include "child.h"
#include "exit-codes.h"
#include "memory-calls.h"
#include "parked-threads.h"
#include "thread-calls.h"

enum {
  // A write of V8 has up to 64 KiB. A larger pipe saves changes between the processes.
  PIPE_BYTES = 1 << 20,
  // Threads finish short work within this time. Longer waits belong to the event loop.
  PARKED_ATTEMPTS = 5,
  PARKED_PAUSE_US = 200,
};

// The child that was not reaped yet, or 0. It guards against a wait for a pid that the kernel has given away again.
static _Atomic pid_t running_child;

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

// ---- values of JavaScript

static napi_value make_object(napi_env env) {
  napi_value object;
  napi_create_object(env, &object);
  return object;
}

static void set_number(napi_env env, napi_value object, const char *name, double number) {
  napi_value value;
  napi_create_double(env, number, &value);
  napi_set_named_property(env, object, name, value);
}

static void set_text(napi_env env, napi_value object, const char *name, const char *text) {
  napi_value value;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, object, name, value);
}

static double get_number(napi_env env, napi_value object, const char *name) {
  napi_value value;
  double number = 0;
  if (napi_get_named_property(env, object, name, &value) == napi_ok) napi_get_value_double(env, value, &number);
  return number;
}

// -1 for a value that is not a number.
static int get_descriptor(napi_env env, napi_value object, const char *name) {
  napi_value value;
  int descriptor = -1;
  if (napi_get_named_property(env, object, name, &value) == napi_ok) napi_get_value_int32(env, value, &descriptor);
  return descriptor;
}

static void get_text(napi_env env, napi_value object, const char *name, char *text, size_t size) {
  napi_value value;
  size_t length = 0;
  text[0] = '\0';
  if (napi_get_named_property(env, object, name, &value) == napi_ok)
    napi_get_value_string_utf8(env, value, text, size, &length);
}

static int get_pid(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int pid = 0;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_int32(env, argument, &pid);
  return pid;
}

// ---- before the fork

// Returns null, or why this process cannot be forked: "imports", "threads" or "memory".
static napi_value CheckSupport(napi_env env, napi_callback_info info) {
  (void)info;
  const char *reason = NULL;
  char busy_thread[THREAD_NAME_SIZE];
  if (!find_thread_calls()) reason = "imports";
  else if (read_threads_state(busy_thread) == THREADS_UNREADABLE) reason = "threads";
  else {
    // A seccomp filter may forbid the advice. The child would then end at its first instruction of JavaScript.
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, page_bytes, MADV_DOFORK) != 0) reason = "memory";
    if (page != MAP_FAILED) munmap(page, page_bytes);
  }
  napi_value result;
  if (reason == NULL) napi_get_null(env, &result);
  else napi_create_string_utf8(env, reason, NAPI_AUTO_LENGTH, &result);
  return result;
}

// Returns {read, write}. Both close in programs that the application starts meanwhile.
static napi_value OpenPipe(napi_env env, napi_callback_info info) {
  (void)info;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    napi_throw_error(env, NULL, strerror(errno));
    return NULL;
  }
  // The kernel limits the pipes of a user; the size is then smaller.
  (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
  napi_value result = make_object(env);
  set_number(env, result, "read", ends[0]);
  set_number(env, result, "write", ends[1]);
  return result;
}

typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  RangeList ranges;
  bool complete;
} Scan;

static void run_scan(napi_env env, void *data) {
  (void)env;
  Scan *scan = data;
  scan->complete = read_marked_ranges(&scan->ranges);
}

static void finish_scan(napi_env env, napi_status status, void *data) {
  Scan *scan = data;
  napi_value result;
  size_t bytes = scan->ranges.count * sizeof(AddressRange);
  void *memory = NULL;
  bool copied = status == napi_ok && scan->complete &&
                napi_create_arraybuffer(env, bytes, &memory, &result) == napi_ok;
  if (copied && bytes > 0) memcpy(memory, scan->ranges.items, bytes);
  if (!copied) napi_get_null(env, &result);
  napi_resolve_deferred(env, scan->deferred, result);
  napi_delete_async_work(env, scan->work);
  free_ranges(&scan->ranges);
  free(scan);
}

// Resolves with the ranges that V8 has marked, as an ArrayBuffer; null when they cannot be read. The fork needs them to
// put the marks back. It runs in the thread pool, because the kernel walks all page tables.
static napi_value ScanMarkedRanges(napi_env env, napi_callback_info info) {
  (void)info;
  Scan *scan = calloc(1, sizeof *scan);
  napi_value promise, name;
  napi_create_promise(env, &scan->deferred, &promise);
  napi_create_string_utf8(env, "wsguard scan", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, NULL, name, run_scan, finish_scan, scan, &scan->work);
  napi_queue_async_work(env, scan->work);
  return promise;
}

// ---- the fork

static void read_memory_groups(napi_env env, napi_value options, WatchdogOptions *watchdog) {
  napi_value list;
  uint32_t count = 0;
  napi_get_named_property(env, options, "memoryGroups", &list);
  napi_get_array_length(env, list, &count);
  for (uint32_t index = 0; index < count && index < MAX_MEMORY_GROUPS; index++) {
    napi_value item;
    MemoryGroup *group = &watchdog->groups[watchdog->group_count++];
    napi_get_element(env, list, index, &item);
    get_text(env, item, "usageFile", group->usage_file, sizeof group->usage_file);
    get_text(env, item, "statFile", group->stat_file, sizeof group->stat_file);
    group->spill_above_bytes = (uint64_t)get_number(env, item, "spillAboveBytes");
    group->max_used_bytes = (uint64_t)get_number(env, item, "maxUsedBytes");
  }
}

static void read_child_options(napi_env env, napi_value options, ChildOptions *child) {
  memset(child, 0, sizeof *child);
  child->output = (int)get_number(env, options, "output");
  child->spill_file = get_descriptor(env, options, "spillFile");
  child->max_spill_bytes = (uint64_t)get_number(env, options, "maxSpillBytes");
  child->max_growth_bytes = (uint64_t)get_number(env, options, "maxGrowthBytes");
  child->max_cpu_seconds = (uint64_t)get_number(env, options, "maxCpuSeconds");
  child->watchdog.deadline_ms = get_number(env, options, "deadlineMs");
  child->watchdog.cpu_share = get_number(env, options, "cpuShare");
  child->watchdog.min_available_bytes = (uint64_t)get_number(env, options, "minAvailableBytes");
  child->watchdog.can_spill = child->spill_file >= 0;
  read_memory_groups(env, options, &child->watchdog);
}

// The ranges belong to an ArrayBuffer, so the list must not be freed.
static RangeList read_marked_list(napi_env env, napi_value options) {
  RangeList list = {NULL, 0, 0};
  napi_value buffer;
  void *memory = NULL;
  size_t bytes = 0;
  if (napi_get_named_property(env, options, "markedRanges", &buffer) == napi_ok &&
      napi_get_arraybuffer_info(env, buffer, &memory, &bytes) == napi_ok) {
    list.items = memory;
    list.count = bytes / sizeof(AddressRange);
  }
  return list;
}

static ThreadsState wait_until_parked(char busy_thread[THREAD_NAME_SIZE]) {
  ThreadsState state = read_threads_state(busy_thread);
  for (int attempt = 1; state == THREADS_BUSY && attempt < PARKED_ATTEMPTS; attempt++) {
    usleep(PARKED_PAUSE_US);
    state = read_threads_state(busy_thread);
  }
  return state;
}

// Never returns. Only this thread exists here, and the event loop does not run any more.
static void run_child(napi_env env, const ChildOptions *options, napi_value callback, int parent) {
  set_up_child(options, parent);
  if (!replace_thread_calls() || !replace_memory_calls()) _exit(EXIT_SETUP);
  if (options->spill_file >= 0 &&
      !spill_memory_calls(options->spill_file, options->max_spill_bytes, check_memory))
    _exit(EXIT_SETUP);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, NULL);
  napi_value global, result;
  napi_get_global(env, &global);
  napi_status status = napi_call_function(env, global, callback, 0, NULL, &result);
  // `exit` would run the handlers of the server, and flush its buffers a second time.
  _exit(status == napi_ok ? EXIT_WRITTEN : EXIT_CALLBACK);
}

// Signals stay blocked until the child has its own handlers. glibc's fork, not a plain clone, because it takes the locks
// of malloc and stdio and resets them in the child.
static pid_t fork_child(napi_env env, const ChildOptions *options, napi_value callback) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  int parent = getpid();
  pid_t pid = fork();
  if (pid == 0) run_child(env, options, callback, parent);
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = error;
  return pid;
}

static napi_value make_outcome(napi_env env, const char *outcome, const char *detail) {
  napi_value result = make_object(env);
  set_text(env, result, "outcome", outcome);
  if (detail != NULL) set_text(env, result, "detail", detail);
  return result;
}

// A child whose watcher was restarted is still to be reaped.
static bool is_child_running(void) {
  pid_t pid = running_child;
  if (pid == 0 || waitpid(pid, NULL, WNOHANG) == 0) return pid != 0;
  running_child = 0;
  return false;
}

// `forkCapture(options, callback)`: runs `callback` in a copy of this process. Returns {outcome: "forked", pid, stopMs},
// {outcome: "busy", detail: name of a thread} or {outcome: "refused", detail}. Closes `options.output` when it forked.
static napi_value ForkCapture(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  double started_ms = now_ms();
  if (is_child_running()) return make_outcome(env, "refused", "another capture of this process is running");
  if (!find_thread_calls()) return make_outcome(env, "refused", "Node does not import its thread functions");

  ChildOptions child;
  read_child_options(env, arguments[0], &child);
  find_memory_calls();
  RangeList marked = read_marked_list(env, arguments[0]);
  char busy_thread[THREAD_NAME_SIZE];
  // The cheap check comes first: the marks need not be changed while a thread works.
  ThreadsState state = wait_until_parked(busy_thread);
  if (state == THREADS_UNREADABLE) return make_outcome(env, "refused", "the states of its threads cannot be read");
  if (state == THREADS_BUSY) return make_outcome(env, "busy", busy_thread);

  RangeList ranges = {NULL, 0, 0};
  int error = read_anonymous_ranges(&ranges) ? advise_ranges(&ranges, MADV_DOFORK) : ENOMEM;
  double advised_ms = now_ms();
  pid_t pid = -1;
  if (error == 0) {
    // Again, right before the fork: a thread that works now may hold a lock.
    state = wait_until_parked(busy_thread);
    if (state == THREADS_PARKED) {
      pid = fork_child(env, &child, arguments[1]);
      if (pid < 0) error = errno;
    }
  }
  double forked_ms = now_ms();
  if (pid > 0) {
    running_child = pid;
    close(child.output);
  }
  // Without its marks each later `spawn` of the application would copy the page tables of the heap.
  advise_ranges(&marked, MADV_DONTFORK);
  free_ranges(&ranges);
  if (error != 0) return make_outcome(env, "refused", strerror(error));
  if (pid < 0) return make_outcome(env, "busy", busy_thread);

  double ended_ms = now_ms();
  napi_value result = make_outcome(env, "forked", NULL);
  set_number(env, result, "pid", pid);
  set_number(env, result, "stopMs", ended_ms - started_ms);
  set_number(env, result, "adviseMs", advised_ms - started_ms);
  set_number(env, result, "forkMs", forked_ms - advised_ms);
  set_number(env, result, "restoreMs", ended_ms - forked_ms);
  return result;
}

// ---- after the fork

// `waitForCapture(pid)`: null while the child runs, else {code} or {signal}, with {maxRssBytes, cpuMs}. {lost: 1} when the
// application has reaped it. Does not wait.
static napi_value WaitForCapture(napi_env env, napi_callback_info info) {
  int pid = get_pid(env, info);
  napi_value result;
  int status = 0;
  struct rusage usage;
  pid_t ended = pid > 0 && pid == running_child ? wait4(pid, &status, WNOHANG, &usage) : -1;
  if (ended == 0 || (ended < 0 && errno == EINTR && pid == running_child)) {
    napi_get_null(env, &result);
    return result;
  }
  result = make_object(env);
  if (pid == running_child) running_child = 0;
  if (ended < 0) {
    set_number(env, result, "lost", 1);
    return result;
  }
  if (WIFEXITED(status)) set_number(env, result, "code", WEXITSTATUS(status));
  else set_number(env, result, "signal", WTERMSIG(status));
  set_number(env, result, "maxRssBytes", (double)usage.ru_maxrss * 1024);
  set_number(env, result, "cpuMs",
             (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3);
  return result;
}

// `endCapture(pid)`: kills the child. A child that was not reaped keeps its pid, so no other process can be hit.
static napi_value EndCapture(napi_env env, napi_callback_info info) {
  int pid = get_pid(env, info);
  if (pid > 0 && pid == running_child) kill(pid, SIGKILL);
  napi_value result;
  napi_get_undefined(env, &result);
  return result;
}

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback callback;
  } FUNCTIONS[] = {
      {"checkSupport", CheckSupport},     {"openPipe", OpenPipe},
      {"scanMarkedRanges", ScanMarkedRanges}, {"forkCapture", ForkCapture},
      {"waitForCapture", WaitForCapture}, {"endCapture", EndCapture},
  };
  for (size_t index = 0; index < sizeof FUNCTIONS / sizeof *FUNCTIONS; index++) {
    napi_value function;
    napi_create_function(env, FUNCTIONS[index].name, NAPI_AUTO_LENGTH, FUNCTIONS[index].callback, NULL, &function);
    napi_set_named_property(env, exports, FUNCTIONS[index].name, function);
  }
  return exports;
}
