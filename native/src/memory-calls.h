// Replaces the memory functions that Node and its libraries import, so that a snapshot takes less memory (name-buffers.h), and
// so that its memory can move to a file: V8 needs 6 to 12 times the live heap, and a container seldom has that free.
#ifndef MEMORY_CALLS_H
#define MEMORY_CALLS_H

#include <stdbool.h>
#include <stdint.h>

// Finds the slots of these functions. Call it in the parent, after all libraries have loaded.
void find_memory_calls(void);

// Call it in the child. False when a slot cannot be written.
bool replace_memory_calls(void);

// Call it after that. From then on new memory comes from the arena, and memory of the parent is never freed. False when
// there is no address space, or when a slot cannot be written.
bool spill_memory_calls(int spill_file, uint64_t max_bytes, void (*on_growth)(void));

#endif
