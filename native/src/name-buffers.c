#define _GNU_SOURCE
#include "name-buffers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exit-codes.h"

enum {
  // The size that V8 asks for: StringsStorage::GetFormatted of Node 20 to 26.
  BUFFER_BYTES = 1024,
  ALIGNMENT = 16,
  GROWTH_BYTES = 1 << 20,
};
// Address space: 2^28 names of 16 bytes. Memory is taken in steps as it is used.
static const size_t REGION_BYTES = (size_t)1 << 32;

// The address of `free` may be that of Node's slot for it, which leads back to here. A call uses the slot of this addon.
static void *allocate_in_libc(size_t size) { return malloc(size); }
static void release_in_libc(void *memory) { free(memory); }

static void *(*allocate_other)(size_t) = allocate_in_libc;
static void (*release_other)(void *) = release_in_libc;
static char *region;
static size_t usable_bytes;
// Start of the next buffer.
static char *next;
// The last buffer, as long as its owner may still write into it.
static char *last;

void use_allocator(void *(*allocate)(size_t), void (*release)(void *)) {
  allocate_other = allocate;
  release_other = release;
}

static bool is_in_region(const void *memory) {
  return region != NULL && (const char *)memory >= region && (size_t)((const char *)memory - region) < REGION_BYTES;
}

static bool reserve_region(void) {
  static bool is_tried;
  if (is_tried) return region != NULL;
  is_tried = true;
  void *memory = mmap(NULL, REGION_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  region = next = memory;
  return true;
}

static bool make_usable(size_t bytes) {
  if (bytes <= usable_bytes) return true;
  if (bytes > REGION_BYTES || mprotect(region + usable_bytes, GROWTH_BYTES, PROT_READ | PROT_WRITE) != 0) return false;
  usable_bytes += GROWTH_BYTES;
  return true;
}

// The bytes of a buffer that must stay. A buffer that holds a text and is zero behind it is a finished name, because it was
// zero before. Any other one is kept whole: its owner may write into it later.
static size_t kept_bytes(const char *buffer) {
  static const char ZEROS[BUFFER_BYTES];
  size_t length = strnlen(buffer, BUFFER_BYTES);
  bool is_name = length > 0 && memcmp(buffer + length, ZEROS, BUFFER_BYTES - length) == 0;
  return is_name ? (length / ALIGNMENT + 1) * ALIGNMENT : BUFFER_BYTES;
}

static void *take_buffer(void) {
  if (!reserve_region()) return NULL;
  if (last != NULL) next = last + kept_bytes(last);
  last = NULL;
  if (!make_usable((size_t)(next - region) + BUFFER_BYTES)) return NULL;
  last = next;
  return last;
}

void *allocate_array_or_null(size_t size, const void *tag) {
  (void)tag;
  void *buffer = size == BUFFER_BYTES ? take_buffer() : NULL;
  return buffer != NULL ? buffer : allocate_other(size);
}

void *allocate_array(size_t size) {
  void *memory = allocate_array_or_null(size, NULL);
  // The caller does not expect NULL.
  if (memory == NULL) _exit(EXIT_MEMORY);
  return memory;
}

// V8 frees a buffer at once when the name exists already, so the last one is used again. Others are forgotten.
void free_array(void *memory) {
  if (!is_in_region(memory)) {
    release_other(memory);
    return;
  }
  if (memory != last) return;
  memset(last, 0, BUFFER_BYTES);
  next = last;
  last = NULL;
}

void free_sized_array(void *memory, size_t size) {
  (void)size;
  free_array(memory);
}
