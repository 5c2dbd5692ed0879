#define _GNU_SOURCE
#include "address-ranges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// A line of /proc/self/maps ends with a path, so this holds any line.
enum { LINE_BUFFER = 64 * 1024 };

typedef struct {
  int descriptor;
  char buffer[LINE_BUFFER];
  size_t start;
  size_t end;
} LineReader;

// Returns the next line without its newline, or NULL at the end. The line is valid until the next call.
static char *next_line(LineReader *reader) {
  for (;;) {
    char *line = reader->buffer + reader->start;
    char *newline = memchr(line, '\n', reader->end - reader->start);
    if (newline != NULL) {
      *newline = '\0';
      reader->start = (size_t)(newline - reader->buffer) + 1;
      return line;
    }
    memmove(reader->buffer, line, reader->end - reader->start);
    reader->end -= reader->start;
    reader->start = 0;
    if (reader->end == sizeof reader->buffer) return NULL;
    ssize_t length = read(reader->descriptor, reader->buffer + reader->end, sizeof reader->buffer - reader->end);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return NULL;
    reader->end += (size_t)length;
  }
}

static LineReader *open_lines(const char *path) {
  LineReader *reader = malloc(sizeof *reader);
  if (reader == NULL) return NULL;
  reader->start = reader->end = 0;
  reader->descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (reader->descriptor >= 0) return reader;
  free(reader);
  return NULL;
}

static void close_lines(LineReader *reader) {
  close(reader->descriptor);
  free(reader);
}

// Neighbours become one range, because each madvise is a system call.
static bool add_range(RangeList *list, AddressRange range) {
  if (list->count > 0 && list->items[list->count - 1].end == range.start) {
    list->items[list->count - 1].end = range.end;
    return true;
  }
  if (list->count == list->capacity) {
    size_t capacity = list->capacity == 0 ? 1024 : list->capacity * 2;
    AddressRange *items = realloc(list->items, capacity * sizeof *items);
    if (items == NULL) return false;
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->count++] = range;
  return true;
}

// `55d0-55e0 rw-p 00000000 00:00 0  [heap]`. Returns where the permissions start, or NULL for another kind of line.
static char *parse_range(char *line, AddressRange *range) {
  char *rest;
  range->start = strtoull(line, &rest, 16);
  if (rest == line || *rest != '-') return NULL;
  char *second = rest + 1;
  range->end = strtoull(second, &rest, 16);
  return rest == second || *rest != ' ' ? NULL : rest + 1;
}

// Memory without a file behind it. The kernel's own pages ([vdso], [vvar], [vsyscall]) refuse advice.
static bool is_anonymous(const char *permissions) {
  // Offset, device and inode are between the permissions and the path.
  const char *field = permissions;
  for (int skipped = 0; skipped < 4; skipped++) {
    field += strcspn(field, " ");
    field += strspn(field, " ");
  }
  return *field == '\0' || (*field == '[' && strncmp(field, "[v", 2) != 0);
}

bool read_anonymous_ranges(RangeList *list) {
  LineReader *reader = open_lines("/proc/self/maps");
  if (reader == NULL) return false;
  bool complete = true;
  for (char *line = next_line(reader); line != NULL && complete; line = next_line(reader)) {
    AddressRange range;
    const char *permissions = parse_range(line, &range);
    if (permissions != NULL && is_anonymous(permissions)) complete = add_range(list, range);
  }
  close_lines(reader);
  return complete;
}

bool read_marked_ranges(RangeList *list) {
  LineReader *reader = open_lines("/proc/self/smaps");
  if (reader == NULL) return false;
  bool complete = true;
  AddressRange current = {0, 0};
  for (char *line = next_line(reader); line != NULL && complete; line = next_line(reader)) {
    AddressRange range;
    if (parse_range(line, &range) != NULL) current = range;
    // "dc": do not copy on fork.
    else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dc") != NULL) complete = add_range(list, current);
  }
  close_lines(reader);
  return complete;
}

int advise_ranges(const RangeList *list, int advice) {
  for (size_t index = 0; index < list->count; index++) {
    AddressRange range = list->items[index];
    if (madvise((void *)(uintptr_t)range.start, range.end - range.start, advice) == 0) continue;
    // ENOMEM: a part was unmapped meanwhile; the kernel has advised the rest.
    if (errno != EINVAL && errno != ENOMEM) return errno;
  }
  return 0;
}

void free_ranges(RangeList *list) {
  free(list->items);
  *list = (RangeList){NULL, 0, 0};
}
