// An allocator on top of spilled-memory.h. Blocks carry no header, and a freed block is not written to: both would fetch
// pages back that were moved to the file. One thread uses it.
#ifndef ARENA_H
#define ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// `on_growth` runs after each new MiB, so that the one who knows the limits can evict memory; it may be NULL.
bool open_arena(int spill_file, uint64_t max_bytes, void (*on_growth)(void));

// NULL when the arena is full. A block of up to 1 KiB whose size is a power of two is aligned to its size, any other to 16
// bytes, and one above 32 KiB to 64 KiB.
void *arena_allocate(size_t bytes);
void *arena_allocate_zeroed(size_t bytes);

// NULL for an alignment above 64 KiB.
void *arena_allocate_aligned(size_t alignment, size_t bytes);

// `block` must be of the arena.
void *arena_resize(void *block, size_t bytes);
void arena_free(void *block);
size_t arena_block_bytes(const void *block);

bool is_in_arena(const void *block);

#endif
