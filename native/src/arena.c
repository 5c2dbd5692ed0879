#include "arena.h"

#include <string.h>

#include "spilled-memory.h"

enum {
  SLAB_BYTES = 64 * 1024,
  MAX_SLABS = MAX_GROUPS * (GROUP_BYTES / SLAB_BYTES),
  MIN_BLOCK_BYTES = 16,
  // Classes up to here are 16 bytes apart. Above it each power of two has four.
  MAX_FINE_BYTES = 1024,
  FINE_CLASSES = MAX_FINE_BYTES / MIN_BLOCK_BYTES,
  FINE_LOG = 10,
  // A larger block gets slabs of its own.
  MAX_CLASS_BYTES = 32 * 1024,
  MAX_CLASSES = FINE_CLASSES + 4 * (15 - FINE_LOG),
  // Free blocks that a class remembers. V8 frees what it has just allocated; any other free block is lost.
  MAX_FREE_BLOCKS = 1024,
  MAX_FREE_RUNS = 512,
};

// What a slab holds: nothing, blocks of a class (class + 1), or the start of a run (IS_RUN + number of slabs).
static const uint32_t IS_RUN = 0x80000000u;
static uint32_t slab_kinds[MAX_SLABS];
static size_t slabs_used;

// The slab of each class that still has room.
typedef struct {
  char *next;
  char *end;
  void *free_blocks[MAX_FREE_BLOCKS];
  int free_count;
} SizeClass;
static SizeClass classes[MAX_CLASSES];

typedef struct {
  size_t first;
  size_t count;
} Run;
static Run free_runs[MAX_FREE_RUNS];
static int free_run_count;

static void (*report_growth)(void);
static size_t reported_slabs;

bool open_arena(int spill_file, uint64_t max_bytes, void (*on_growth)(void)) {
  report_growth = on_growth;
  return open_spilled_memory(spill_file, max_bytes);
}

static int log_of(size_t bytes) { return 63 - __builtin_clzl(bytes); }

static int class_of(size_t bytes) {
  if (bytes <= MAX_FINE_BYTES) return bytes == 0 ? 0 : (int)((bytes - 1) / MIN_BLOCK_BYTES);
  int log = log_of(bytes - 1);
  return FINE_CLASSES + (log - FINE_LOG) * 4 + (int)(((bytes - 1) >> (log - 2)) & 3);
}

static size_t class_bytes(int class) {
  if (class < FINE_CLASSES) return (size_t)(class + 1) * MIN_BLOCK_BYTES;
  int above = class - FINE_CLASSES;
  int log = FINE_LOG + above / 4;
  return ((size_t)1 << log) + (((size_t)(above % 4) + 1) << (log - 2));
}

static size_t slab_of(const void *block) {
  return (size_t)((const char *)block - spilled_memory_start()) / SLAB_BYTES;
}

static char *address_of(size_t slab) { return spilled_memory_start() + slab * SLAB_BYTES; }

static int find_free_run(size_t count) {
  int best = -1;
  for (int index = 0; index < free_run_count; index++) {
    if (free_runs[index].count < count) continue;
    if (best < 0 || free_runs[index].count < free_runs[best].count) best = index;
  }
  return best;
}

// Returns slabs that read as zero: new ones, or a freed run, whose memory was discarded.
static char *take_slabs(size_t count) {
  int index = find_free_run(count);
  if (index >= 0) {
    char *address = address_of(free_runs[index].first);
    free_runs[index].first += count;
    free_runs[index].count -= count;
    if (free_runs[index].count == 0) free_runs[index] = free_runs[--free_run_count];
    return address;
  }
  if (!extend_spilled_memory((slabs_used + count) * SLAB_BYTES)) return NULL;
  char *address = address_of(slabs_used);
  slabs_used += count;
  if (report_growth != NULL && slabs_used - reported_slabs >= GROUP_BYTES / SLAB_BYTES) {
    reported_slabs = slabs_used;
    report_growth();
  }
  return address;
}

static void *allocate_run(size_t bytes) {
  size_t count = bytes / SLAB_BYTES + (bytes % SLAB_BYTES != 0);
  if (count > MAX_SLABS) return NULL;
  char *address = take_slabs(count);
  if (address != NULL) slab_kinds[slab_of(address)] = IS_RUN | (uint32_t)count;
  return address;
}

// `is_zero` tells whether the block was never used.
static void *allocate_block(int class, bool *is_zero) {
  SizeClass *size = &classes[class];
  *is_zero = size->free_count == 0;
  if (size->free_count > 0) return size->free_blocks[--size->free_count];
  size_t bytes = class_bytes(class);
  if (size->next == NULL || size->next + bytes > size->end) {
    char *slab = take_slabs(1);
    if (slab == NULL) return NULL;
    slab_kinds[slab_of(slab)] = (uint32_t)class + 1;
    size->next = slab;
    size->end = slab + SLAB_BYTES;
  }
  void *block = size->next;
  size->next += bytes;
  return block;
}

void *arena_allocate(size_t bytes) {
  bool is_zero;
  return bytes > MAX_CLASS_BYTES ? allocate_run(bytes) : allocate_block(class_of(bytes), &is_zero);
}

void *arena_allocate_zeroed(size_t bytes) {
  if (bytes > MAX_CLASS_BYTES) return allocate_run(bytes);
  bool is_zero;
  void *block = allocate_block(class_of(bytes), &is_zero);
  if (block != NULL && !is_zero) memset(block, 0, bytes);
  return block;
}

void *arena_allocate_aligned(size_t alignment, size_t bytes) {
  if (alignment <= MIN_BLOCK_BYTES) return arena_allocate(bytes);
  if (alignment > SLAB_BYTES) return NULL;
  if (alignment > MAX_FINE_BYTES || bytes > MAX_FINE_BYTES)
    return allocate_run(bytes > MAX_CLASS_BYTES ? bytes : MAX_CLASS_BYTES + 1);
  size_t power = alignment;
  while (power < bytes) power *= 2;
  return arena_allocate(power);
}

size_t arena_block_bytes(const void *block) {
  uint32_t kind = slab_kinds[slab_of(block)];
  return kind & IS_RUN ? (size_t)(kind & ~IS_RUN) * SLAB_BYTES : class_bytes((int)kind - 1);
}

// Neighbours become one run. A run that finds no place in the list loses only address space.
static void remember_run(Run run) {
  for (int index = 0; index < free_run_count; index++) {
    Run *other = &free_runs[index];
    if (other->first + other->count != run.first && run.first + run.count != other->first) continue;
    Run merged = {run.first < other->first ? run.first : other->first, run.count + other->count};
    *other = free_runs[--free_run_count];
    remember_run(merged);
    return;
  }
  if (free_run_count < MAX_FREE_RUNS) free_runs[free_run_count++] = run;
}

void arena_free(void *block) {
  size_t slab = slab_of(block);
  uint32_t kind = slab_kinds[slab];
  if (kind & IS_RUN) {
    size_t count = kind & ~IS_RUN;
    discard_memory(slab * SLAB_BYTES, count * SLAB_BYTES);
    remember_run((Run){slab, count});
    return;
  }
  SizeClass *size = &classes[kind - 1];
  if (size->free_count < MAX_FREE_BLOCKS) size->free_blocks[size->free_count++] = block;
}

void *arena_resize(void *block, size_t bytes) {
  size_t before = arena_block_bytes(block);
  if (bytes <= before && bytes >= before / 2) return block;
  void *moved = arena_allocate(bytes);
  if (moved == NULL) return NULL;
  memcpy(moved, block, before < bytes ? before : bytes);
  arena_free(block);
  return moved;
}

bool is_in_arena(const void *block) {
  const char *start = spilled_memory_start();
  return start != NULL && (const char *)block >= start && (const char *)block < start + spilled_memory_bytes();
}
