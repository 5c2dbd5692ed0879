#define _GNU_SOURCE
#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exit-codes.h"

enum {
  // Younger than some kernel headers. The number is the same on every architecture.
  CLOSE_RANGE = 436,
  MAX_EVENT_DESCRIPTORS = 4096,
  MAX_CLOSED_ONE_BY_ONE = 1 << 20,
  CHILD_PRIORITY = 10,
  LAST_SIGNAL = 64,
};

// The server may be killed at any time. Its child would then hold a copy of its memory until the deadline.
static void end_with_parent(int parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before that call.
  if (getppid() != parent) _exit(EXIT_ORPHAN);
}

static bool write_file(const char *path, const char *text) {
  int descriptor = open(path, O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  bool written = write(descriptor, text, strlen(text)) == (ssize_t)strlen(text);
  close(descriptor);
  return written;
}

// When memory runs out, the kernel ends the child and not the server. Raising the score needs no rights.
static void offer_to_oom_killer(void) { write_file("/proc/self/oom_score_adj", "1000"); }

// A core file would contain the server's memory.
static void forbid_core_file(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

typedef struct {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
} DirectoryEntry;

static int parse_descriptor(const char *name) {
  int number = 0;
  for (; *name >= '0' && *name <= '9'; name++) number = number * 10 + (*name - '0');
  return number;
}

static bool is_event_descriptor(int folder, const char *name) {
  static const char PREFIX[] = "anon_inode:[eventfd";
  char target[sizeof PREFIX];
  ssize_t length = readlinkat(folder, name, target, sizeof PREFIX - 1);
  return length == sizeof PREFIX - 1 && memcmp(target, PREFIX, sizeof PREFIX - 1) == 0;
}

static bool is_ours(const ChildOptions *options, int descriptor) {
  return descriptor == options->output || descriptor == options->spill_file;
}

// Lists the descriptors that must stay open, in ascending order: /proc/self/fd has this order.
static int list_kept_descriptors(const ChildOptions *options, int *kept) {
  static char entries[64 * 1024] __attribute__((aligned(8)));
  int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) _exit(EXIT_SETUP);
  int count = 0;
  for (;;) {
    long length = syscall(SYS_getdents64, folder, entries, sizeof entries);
    if (length <= 0) break;
    for (long position = 0; position < length;) {
      const DirectoryEntry *entry = (const DirectoryEntry *)(entries + position);
      position += entry->length;
      if (entry->name[0] == '.') continue;
      int descriptor = parse_descriptor(entry->name);
      bool is_kept = is_ours(options, descriptor) || is_event_descriptor(folder, entry->name);
      if (is_kept && count < MAX_EVENT_DESCRIPTORS) kept[count++] = descriptor;
    }
  }
  close(folder);
  return count;
}

static void close_between(unsigned first, unsigned last) {
  if (first > last || syscall(CLOSE_RANGE, first, last, 0) == 0) return;
  // Kernels before 5.9 have no close_range.
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  unsigned end = limit.rlim_cur > MAX_CLOSED_ONE_BY_ONE ? MAX_CLOSED_ONE_BY_ONE : (unsigned)limit.rlim_cur;
  for (unsigned descriptor = first; descriptor <= last && descriptor < end; descriptor++) close((int)descriptor);
}

// A client would see its connection open, and the port would stay taken, as long as the child holds copies. Closing a copy
// sends nothing. libuv aborts when an event descriptor is closed, and an open one would wake the parent, so these become
// /dev/null. So do stdin, stdout and stderr: V8 writes its last words to them.
static void close_descriptors(const ChildOptions *options) {
  static int kept[MAX_EVENT_DESCRIPTORS];
  int count = list_kept_descriptors(options, kept);
  int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nothing < 0) _exit(EXIT_SETUP);
  for (int index = 0; index < count; index++)
    if (!is_ours(options, kept[index])) dup2(nothing, kept[index]);
  for (int standard = 0; standard <= 2; standard++)
    if (!is_ours(options, standard)) dup2(nothing, standard);
  unsigned first = 3;
  for (int index = 0; index < count; index++) {
    if (kept[index] < 3) continue;
    close_between(first, (unsigned)kept[index] - 1);
    first = (unsigned)kept[index] + 1;
  }
  close_between(first, ~0U);
}

// The server's handlers would run its code, or write into its signal pipe.
static void reset_signal_handlers(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = SIG_DFL;
  for (int number = 1; number <= LAST_SIGNAL; number++) sigaction(number, &action, NULL);
  // When the reader of the output is gone, a write fails with EPIPE and the callback throws.
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, NULL);
}

// `statm` has the size of the data segments in pages as its sixth number.
static uint64_t read_data_bytes(void) {
  char text[256];
  int descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  ssize_t length = descriptor < 0 ? -1 : read(descriptor, text, sizeof text - 1);
  if (descriptor >= 0) close(descriptor);
  if (length <= 0) return 0;
  text[length] = '\0';
  const char *field = text;
  for (int skipped = 0; skipped < 5 && field != NULL; skipped++) {
    field = strchr(field, ' ');
    if (field != NULL) field++;
  }
  uint64_t pages = 0;
  for (; field != NULL && *field >= '0' && *field <= '9'; field++) pages = pages * 10 + (uint64_t)(*field - '0');
  return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limit_resources(const ChildOptions *options) {
  struct rlimit cpu = {options->max_cpu_seconds, options->max_cpu_seconds};
  setrlimit(RLIMIT_CPU, &cpu);
  uint64_t data_bytes = read_data_bytes();
  if (data_bytes == 0 || options->max_growth_bytes == 0) return;
  struct rlimit data = {data_bytes + options->max_growth_bytes, data_bytes + options->max_growth_bytes};
  setrlimit(RLIMIT_DATA, &data);
}

void set_up_child(const ChildOptions *options, int parent) {
  end_with_parent(parent);
  // `ps` and `pidof` must not take the child for the server.
  prctl(PR_SET_NAME, "wsguard-capture");
  offer_to_oom_killer();
  forbid_core_file();
  close_descriptors(options);
  setpriority(PRIO_PROCESS, 0, CHILD_PRIORITY);
  reset_signal_handlers();
  limit_resources(options);
  start_watchdog(&options->watchdog, parent);
}
