#define _GNU_SOURCE
#include "watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "exit-codes.h"
#include "spilled-memory.h"

// A server that allocates quickly takes a few MB in this time.
enum { TICK_MS = 10 };
// Longer sleeps would make the deadline inexact.
static const double MAX_SLEEP_MS = 200;
// Evicted beyond the limit, so that the next MiB does not evict again.
static const uint64_t SPILL_MARGIN_BYTES = 4 << 20;

typedef struct {
  int usage;
  int stat;
  uint64_t spill_above_bytes;
  uint64_t max_used_bytes;
  uint64_t cache_at_start_bytes;
} OpenGroup;

static OpenGroup groups[MAX_MEMORY_GROUPS];
static int group_count;
static int meminfo;
static uint64_t min_available_bytes;
static bool can_spill;
static double cpu_share;
static double started_ms;
static double deadline_ms;
static int parent_pid;

static double read_clock_ms(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

// Reads a file of /proc or /sys from its start, so that it shows the present.
static const char *read_text(int descriptor, char *text, size_t size) {
  ssize_t length = descriptor < 0 ? -1 : pread(descriptor, text, size - 1, 0);
  text[length < 0 ? 0 : length] = '\0';
  return text;
}

static uint64_t parse_number(const char *text) {
  uint64_t number = 0;
  while (*text == ' ') text++;
  for (; *text >= '0' && *text <= '9'; text++) number = number * 10 + (uint64_t)(*text - '0');
  return number;
}

// The number behind `key` at the start of a line; 0 when there is no such line.
static uint64_t number_after(const char *text, const char *key) {
  size_t length = strlen(key);
  for (const char *line = text; line != NULL && *line != '\0';) {
    if (strncmp(line, key, length) == 0) return parse_number(line + length);
    line = strchr(line, '\n');
    if (line != NULL) line++;
  }
  return 0;
}

// Version 1 of cgroups counts a group with its children in the `total_` keys, version 2 has only one kind.
static uint64_t sum_of(const char *text, const char *const keys[2][2]) {
  uint64_t bytes = number_after(text, keys[0][0]) + number_after(text, keys[0][1]);
  return bytes > 0 ? bytes : number_after(text, keys[1][0]) + number_after(text, keys[1][1]);
}

typedef struct {
  uint64_t cache_bytes;
  // The part of the cache that must be written before the kernel can drop it.
  uint64_t changed_bytes;
} FileCache;

static FileCache read_file_cache(int stat) {
  static const char *const CACHE[2][2] = {{"total_inactive_file ", "total_active_file "},
                                          {"inactive_file ", "active_file "}};
  static const char *const CHANGED[2][2] = {{"total_dirty ", "total_writeback "},
                                            {"file_dirty ", "file_writeback "}};
  static char text[16 * 1024];
  read_text(stat, text, sizeof text);
  return (FileCache){sum_of(text, CACHE), sum_of(text, CHANGED)};
}

static uint64_t subtract(uint64_t from, uint64_t bytes) { return bytes < from ? from - bytes : 0; }

static uint64_t read_usage(const OpenGroup *group) {
  char text[32];
  return parse_number(read_text(group->usage, text, sizeof text));
}

// The usage alone decides nearly always. The kernel has to sum up the file cache, so it is read only above the limit.
static bool is_group_full(const OpenGroup *group) {
  uint64_t usage = read_usage(group);
  if (usage <= group->max_used_bytes) return false;
  FileCache cache = read_file_cache(group->stat);
  return subtract(usage, subtract(cache.cache_bytes, cache.changed_bytes)) > group->max_used_bytes;
}

static uint64_t missing_on_machine(void) {
  static char text[4096];
  uint64_t available_kib = number_after(read_text(meminfo, text, sizeof text), "MemAvailable:");
  return available_kib == 0 ? 0 : subtract(min_available_bytes, available_kib * 1024);
}

// All cache that has come since the fork counts as memory: it is mostly the spilled memory itself.
static uint64_t excess_of_group(const OpenGroup *group) {
  uint64_t usage = read_usage(group);
  if (usage <= group->spill_above_bytes) return 0;
  uint64_t cache_bytes = read_file_cache(group->stat).cache_bytes;
  uint64_t others = cache_bytes < group->cache_at_start_bytes ? cache_bytes : group->cache_at_start_bytes;
  return subtract(subtract(usage, others), group->spill_above_bytes);
}

static bool is_memory_short(void) {
  for (int index = 0; index < group_count; index++)
    if (is_group_full(&groups[index])) return true;
  return missing_on_machine() > 0;
}

static void evict_or_exit(uint64_t bytes, bool is_everything) {
  if (!evict_memory(bytes, is_everything)) _exit(EXIT_SPILL_FILE);
}

static void spill(void) {
  uint64_t excess = missing_on_machine();
  for (int index = 0; index < group_count; index++) {
    uint64_t bytes = excess_of_group(&groups[index]);
    if (bytes > excess) excess = bytes;
  }
  if (excess == 0) return;
  evict_or_exit(excess + SPILL_MARGIN_BYTES, false);
  if (!is_memory_short()) return;
  evict_or_exit(0, true);
  if (is_memory_short()) _exit(EXIT_MEMORY);
}

static void relieve_memory(void) {
  if (!can_spill) {
    if (is_memory_short()) _exit(EXIT_MEMORY);
  } else if (!is_spilled_memory_changing()) {
    spill();
  }
}

// The tick must not read the same files into the same buffers meanwhile.
void check_memory(void) {
  sigset_t tick, before;
  sigemptyset(&tick);
  sigaddset(&tick, SIGALRM);
  sigprocmask(SIG_BLOCK, &tick, &before);
  relieve_memory();
  sigprocmask(SIG_SETMASK, &before, NULL);
}

// A CPU quota is for the whole container, so a busy child would take the server's. Priority does not help against it.
static void sleep_off_cpu_debt(void) {
  if (cpu_share >= 1) return;
  double allowed_ms = (read_clock_ms(CLOCK_MONOTONIC) - started_ms) * cpu_share;
  double sleep_ms = (read_clock_ms(CLOCK_PROCESS_CPUTIME_ID) - allowed_ms) / cpu_share;
  if (sleep_ms <= 1) return;
  if (sleep_ms > MAX_SLEEP_MS) sleep_ms = MAX_SLEEP_MS;
  struct timespec duration = {0, (long)(sleep_ms * 1e6)};
  nanosleep(&duration, NULL);
}

static void on_tick(int signal_number) {
  (void)signal_number;
  int interrupted_errno = errno;
  if (getppid() != parent_pid) _exit(EXIT_ORPHAN);
  if (read_clock_ms(CLOCK_MONOTONIC) > deadline_ms) _exit(EXIT_DEADLINE);
  relieve_memory();
  sleep_off_cpu_debt();
  errno = interrupted_errno;
}

// The files stay open: opening one could fail later, when memory is short.
static void open_files(const WatchdogOptions *options) {
  for (int index = 0; index < options->group_count; index++) {
    const MemoryGroup *group = &options->groups[index];
    int usage = open(group->usage_file, O_RDONLY | O_CLOEXEC);
    if (usage < 0) continue;
    int stat = open(group->stat_file, O_RDONLY | O_CLOEXEC);
    groups[group_count++] = (OpenGroup){
        .usage = usage,
        .stat = stat,
        .spill_above_bytes = group->spill_above_bytes,
        .max_used_bytes = group->max_used_bytes,
        .cache_at_start_bytes = options->can_spill ? read_file_cache(stat).cache_bytes : 0,
    };
  }
  meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
}

void start_watchdog(const WatchdogOptions *options, int parent) {
  parent_pid = parent;
  cpu_share = options->cpu_share > 0 ? options->cpu_share : 1;
  min_available_bytes = options->min_available_bytes;
  can_spill = options->can_spill;
  started_ms = read_clock_ms(CLOCK_MONOTONIC);
  deadline_ms = started_ms + options->deadline_ms;
  open_files(options);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_tick;
  // Without SA_RESTART a write of the snapshot would end early with EINTR.
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  struct timeval tick = {.tv_sec = 0, .tv_usec = TICK_MS * 1000};
  struct itimerval timer = {.it_interval = tick, .it_value = tick};
  setitimer(ITIMER_REAL, &timer, NULL);
}
