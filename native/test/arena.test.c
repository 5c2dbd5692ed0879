// Tests the arena against a reference that knows the contents of every block: a random trace of calls, with memory moved to
// the file at random moments. Arguments: a folder on a disk, and the seed.
#define _GNU_SOURCE
#include "../src/arena.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../src/spilled-memory.h"

enum {
  BLOCKS = 4000,
  STEPS = 40000,
  STEPS_BETWEEN_EVICTIONS = 600,
  MAX_ARENA_BYTES = 512 << 20,
};

typedef struct {
  unsigned char *address;
  size_t bytes;
  uint32_t seed;
} Block;

static Block blocks[BLOCKS];
static uint32_t random_state;
static int growths;

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static uint32_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  return random_state ^= random_state << 5;
}

static size_t random_bytes(void) {
  static const size_t LIMITS[] = {16, 64, 256, 1024, 5000, 32 << 10, 200 << 10, 3 << 20};
  return next_random() % LIMITS[next_random() % 100 < 90 ? next_random() % 5 : next_random() % 8];
}

// Only the first and the last page of a large block are written, as a sparse table would be.
static size_t byte_count_checked(size_t bytes) { return bytes < 4096 ? bytes : 4096; }

static unsigned char expected(const Block *block, size_t index) {
  return (unsigned char)(block->seed + index * 31);
}

static void fill(Block *block) {
  block->seed = next_random();
  size_t count = byte_count_checked(block->bytes);
  for (size_t index = 0; index < count; index++) {
    block->address[index] = expected(block, index);
    block->address[block->bytes - 1 - index] = expected(block, block->bytes - 1 - index);
  }
}

static void check(const Block *block, size_t bytes) {
  size_t count = byte_count_checked(block->bytes);
  for (size_t index = 0; index < count; index++) {
    size_t last = block->bytes - 1 - index;
    if (index < bytes && block->address[index] != expected(block, index))
      fail("block of %zu bytes: byte %zu has changed", block->bytes, index);
    if (last < bytes && block->address[last] != expected(block, last))
      fail("block of %zu bytes: byte %zu has changed", block->bytes, last);
  }
}

static void check_zero(const Block *block) {
  for (size_t index = 0; index < block->bytes; index++)
    if (block->address[index] != 0) fail("zeroed block of %zu bytes: byte %zu is not zero", block->bytes, index);
}

static void check_alignment(const void *address, size_t alignment) {
  if ((uintptr_t)address % alignment != 0) fail("%p is not aligned to %zu", address, alignment);
}

static void allocate(Block *block) {
  block->bytes = random_bytes() + 1;
  uint32_t kind = next_random() % 4;
  size_t alignment = kind == 0 ? (size_t)32 << next_random() % 8 : 16;
  if (kind == 0) block->address = arena_allocate_aligned(alignment, block->bytes);
  else block->address = kind == 1 ? arena_allocate_zeroed(block->bytes) : arena_allocate(block->bytes);
  if (block->address == NULL) fail("no memory for %zu bytes", block->bytes);
  if (!is_in_arena(block->address)) fail("block outside of the arena");
  if (arena_block_bytes(block->address) < block->bytes) fail("block smaller than %zu bytes", block->bytes);
  check_alignment(block->address, alignment);
  if (kind == 1) check_zero(block);
  fill(block);
}

static void resize(Block *block) {
  size_t bytes = random_bytes() + 1;
  Block moved = *block;
  moved.address = arena_resize(block->address, bytes);
  if (moved.address == NULL) fail("no memory to resize to %zu bytes", bytes);
  check(&moved, block->bytes < bytes ? block->bytes : bytes);
  moved.bytes = bytes;
  fill(&moved);
  *block = moved;
}

static void release(Block *block) {
  check(block, block->bytes);
  arena_free(block->address);
  block->address = NULL;
}

static void evict(uint32_t step) {
  bool is_everything = step % (STEPS_BETWEEN_EVICTIONS * 10) == 0;
  if (!evict_memory(next_random() % (64 << 20), is_everything)) fail("the file could not be written");
}

static void run_trace(void) {
  for (uint32_t step = 1; step <= STEPS; step++) {
    Block *block = &blocks[next_random() % BLOCKS];
    if (block->address == NULL) allocate(block);
    else if (next_random() % 4 == 0) resize(block);
    else release(block);
    if (step % STEPS_BETWEEN_EVICTIONS == 0) evict(step);
  }
  for (int index = 0; index < BLOCKS; index++)
    if (blocks[index].address != NULL) check(&blocks[index], blocks[index].bytes);
  if (growths == 0) fail("no growth was reported");
}

static size_t resident_bytes(void) {
  static unsigned char resident[(MAX_ARENA_BYTES + GROUP_BYTES) / 4096];
  size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
  if (mincore(spilled_memory_start(), MAX_ARENA_BYTES, resident) != 0) fail("mincore failed");
  size_t pages = 0;
  for (size_t page = 0; page < MAX_ARENA_BYTES / page_bytes; page++) pages += resident[page] & 1;
  return pages * page_bytes;
}

static void check_that_everything_can_leave(void) {
  size_t before = resident_bytes();
  if (!evict_memory(0, true)) fail("the file could not be written");
  size_t after = resident_bytes();
  if (before < (1 << 20) || after > before / 20) fail("%zu of %zu bytes are still in memory", after, before);
  for (int index = 0; index < BLOCKS; index++)
    if (blocks[index].address != NULL) release(&blocks[index]);
}

static void check_that_a_full_arena_says_so(void) {
  static void *runs[MAX_ARENA_BYTES >> 20];
  size_t count = 0;
  while ((runs[count] = arena_allocate(1 << 20)) != NULL) count++;
  if (count < 64) fail("the arena was full after %zu MiB", count);
  arena_free(runs[0]);
  unsigned char *again = arena_allocate_zeroed(1 << 20);
  if (again == NULL) fail("freed memory cannot be used again");
  for (size_t index = 0; index < (1 << 20); index++)
    if (again[index] != 0) fail("memory that was freed and used again is not zero");
  if (arena_allocate(SIZE_MAX - 100) != NULL) fail("an impossible size got memory");
  if (arena_allocate_aligned(128 << 10, 16) != NULL) fail("an impossible alignment got memory");
  // Memory that was never moved, for the next check.
  memset(runs[count - 1], 1, 1 << 20);
}

// A limit for the size of files stands for a full disk.
static void check_that_a_full_disk_says_so(void) {
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = {0, 0};
  setrlimit(RLIMIT_FSIZE, &limit);
  if (evict_memory(0, true)) fail("a full disk was not noticed");
}

static void on_growth(void) { growths++; }

int main(int count, char **arguments) {
  if (count != 3) fail("usage: arena-test FOLDER SEED");
  random_state = (uint32_t)strtoul(arguments[2], NULL, 10) * 2654435761u | 1;
  char path[4096];
  snprintf(path, sizeof path, "%s/arena-test-%d", arguments[1], getpid());
  int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (file < 0) fail("cannot create %s", path);
  unlink(path);
  if (!open_arena(file, MAX_ARENA_BYTES, on_growth)) fail("no address space");
  run_trace();
  check_that_everything_can_leave();
  check_that_a_full_arena_says_so();
  check_that_a_full_disk_says_so();
  puts("ok");
  return 0;
}
