#define _GNU_SOURCE
#include "memory-calls.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "exit-codes.h"
#include "import-slots.h"
#include "name-buffers.h"

enum { MAX_ARENA_ALIGNMENT = 64 * 1024 };

// V8 and C++ cannot go on without memory. They would end with SIGABRT, which says less.
static void *or_exit(void *block) {
  if (block == NULL) _exit(EXIT_MEMORY);
  return block;
}

static void *allocate(size_t bytes) { return or_exit(arena_allocate(bytes)); }

static void *allocate_zeroed(size_t count, size_t size) {
  size_t bytes;
  if (!__builtin_mul_overflow(count, size, &bytes)) return or_exit(arena_allocate_zeroed(bytes));
  errno = ENOMEM;
  return NULL;
}

// Memory of the parent stays as it is: freeing it would only copy pages, and the child ends soon.
static void release(void *block) {
  if (block != NULL && is_in_arena(block)) arena_free(block);
}

static size_t usable_bytes(void *block) {
  if (block == NULL) return 0;
  return is_in_arena(block) ? arena_block_bytes(block) : malloc_usable_size(block);
}

static void *resize(void *block, size_t bytes) {
  if (block == NULL) return allocate(bytes);
  if (bytes == 0) {
    release(block);
    return NULL;
  }
  if (is_in_arena(block)) return or_exit(arena_resize(block, bytes));
  size_t before = malloc_usable_size(block);
  return memcpy(allocate(bytes), block, before < bytes ? before : bytes);
}

static void *resize_array(void *block, size_t count, size_t size) {
  size_t bytes;
  if (!__builtin_mul_overflow(count, size, &bytes)) return resize(block, bytes);
  errno = ENOMEM;
  return NULL;
}

// A rare alignment is left to libc. `release` ignores such a block.
static void *allocate_aligned(size_t alignment, size_t bytes) {
  if (alignment > MAX_ARENA_ALIGNMENT) return memalign(alignment, bytes);
  return or_exit(arena_allocate_aligned(alignment, bytes));
}

static int allocate_aligned_posix(void **block, size_t alignment, size_t bytes) {
  *block = allocate_aligned(alignment, bytes);
  return *block == NULL ? ENOMEM : 0;
}

// ---- `new` and `delete` of C++, by their arguments

static void *new_nothrow(size_t bytes, const void *tag) {
  (void)tag;
  return allocate(bytes);
}

static void *new_aligned(size_t bytes, size_t alignment) { return allocate_aligned(alignment, bytes); }

static void *new_aligned_nothrow(size_t bytes, size_t alignment, const void *tag) {
  (void)tag;
  return allocate_aligned(alignment, bytes);
}

// With a size, an alignment or a tag behind the block.
static void delete_two(void *block, size_t second) {
  (void)second;
  release(block);
}

static void delete_three(void *block, size_t second, size_t third) {
  (void)second, (void)third;
  release(block);
}

static const Replacement NAME_BUFFERS[] = {
    {"_Znam", allocate_array},
    {"_ZnamRKSt9nothrow_t", allocate_array_or_null},
    {"_ZdaPv", free_array},
    {"_ZdaPvm", free_sized_array},
    {"_ZdlPv", free_array},
    {"_ZdlPvm", free_sized_array},
    {"free", free_array},
};

// Those above stay as they are, and get their memory from the arena too.
static const Replacement SPILLED[] = {
    {"malloc", allocate},
    {"calloc", allocate_zeroed},
    {"realloc", resize},
    {"reallocarray", resize_array},
    {"cfree", release},
    {"memalign", allocate_aligned},
    {"aligned_alloc", allocate_aligned},
    {"posix_memalign", allocate_aligned_posix},
    {"malloc_usable_size", usable_bytes},
    {"_Znwm", allocate},
    {"_ZnwmRKSt9nothrow_t", new_nothrow},
    {"_ZnwmSt11align_val_t", new_aligned},
    {"_ZnamSt11align_val_t", new_aligned},
    {"_ZnwmSt11align_val_tRKSt9nothrow_t", new_aligned_nothrow},
    {"_ZnamSt11align_val_tRKSt9nothrow_t", new_aligned_nothrow},
    {"_ZdlPvSt11align_val_t", delete_two},
    {"_ZdaPvSt11align_val_t", delete_two},
    {"_ZdlPvRKSt9nothrow_t", delete_two},
    {"_ZdaPvRKSt9nothrow_t", delete_two},
    {"_ZdlPvmSt11align_val_t", delete_three},
    {"_ZdaPvmSt11align_val_t", delete_three},
    {"_ZdlPvSt11align_val_tRKSt9nothrow_t", delete_three},
    {"_ZdaPvSt11align_val_tRKSt9nothrow_t", delete_three},
};

static Slot name_buffer_slots[MAX_SLOTS];
static SlotList name_buffers = {
    .slots = name_buffer_slots,
    .replacements = NAME_BUFFERS,
    .replacement_count = sizeof NAME_BUFFERS / sizeof *NAME_BUFFERS,
};
static Slot spilled_slots[MAX_SLOTS];
static SlotList spilled = {
    .slots = spilled_slots,
    .replacements = SPILLED,
    .replacement_count = sizeof SPILLED / sizeof *SPILLED,
};

void find_memory_calls(void) {
  find_slots(&name_buffers);
  find_slots(&spilled);
}

bool replace_memory_calls(void) { return replace_slots(&name_buffers); }

// The kernel sends it when a page of the file cannot be read, or has no place on the disk.
static void on_bus_error(int signal_number) {
  (void)signal_number;
  _exit(EXIT_SPILL_FILE);
}

bool spill_memory_calls(int spill_file, uint64_t max_bytes, void (*on_growth)(void)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_bus_error;
  sigaction(SIGBUS, &action, NULL);
  if (!open_arena(spill_file, max_bytes, on_growth)) return false;
  use_allocator(allocate, release);
  return replace_slots(&spilled);
}
