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

// A server that allocates quickly takes a few MB in this time.
enum { TICK_MS = 10 };
// Longer sleeps would make the deadline inexact.
static const double MAX_SLEEP_MS = 200;

typedef struct {
  int usage;
  int stat;
  uint64_t max_used_bytes;
} OpenGroup;

static OpenGroup groups[MAX_MEMORY_GROUPS];
static int group_count;
static int meminfo;
static uint64_t min_available_bytes;
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
static uint64_t file_cache_bytes(int stat) {
  static char text[16 * 1024];
  read_text(stat, text, sizeof text);
  uint64_t bytes = number_after(text, "total_inactive_file ") + number_after(text, "total_active_file ");
  if (bytes > 0) return bytes;
  return number_after(text, "inactive_file ") + number_after(text, "active_file ");
}

// The usage alone decides nearly always. The kernel has to sum up the file cache, so it is read only above the limit.
static int is_group_full(const OpenGroup *group) {
  char text[32];
  uint64_t usage = parse_number(read_text(group->usage, text, sizeof text));
  if (usage <= group->max_used_bytes) return 0;
  uint64_t cache = file_cache_bytes(group->stat);
  return usage - (cache < usage ? cache : 0) > group->max_used_bytes;
}

static int is_machine_full(void) {
  static char text[4096];
  uint64_t available_kib = number_after(read_text(meminfo, text, sizeof text), "MemAvailable:");
  return available_kib > 0 && available_kib * 1024 < min_available_bytes;
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
  for (int index = 0; index < group_count; index++)
    if (is_group_full(&groups[index])) _exit(EXIT_MEMORY);
  if (is_machine_full()) _exit(EXIT_MEMORY);
  sleep_off_cpu_debt();
  errno = interrupted_errno;
}

// The files stay open: opening one could fail later, when memory is short.
static void open_files(const WatchdogOptions *options) {
  for (int index = 0; index < options->group_count; index++) {
    const MemoryGroup *group = &options->groups[index];
    int usage = open(group->usage_file, O_RDONLY | O_CLOEXEC);
    if (usage < 0) continue;
    groups[group_count++] = (OpenGroup){
        .usage = usage,
        .stat = open(group->stat_file, O_RDONLY | O_CLOEXEC),
        .max_used_bytes = group->max_used_bytes,
    };
  }
  meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
}

void start_watchdog(const WatchdogOptions *options, int parent) {
  parent_pid = parent;
  cpu_share = options->cpu_share > 0 ? options->cpu_share : 1;
  min_available_bytes = options->min_available_bytes;
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
