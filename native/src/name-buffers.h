// Saves memory of the child. V8 formats the name of each array index into a new buffer of 1 KiB, and keeps the whole buffer for
// a few digits: for a map of 200,000 entries that is 400 MB (docs/facts.md).
#ifndef NAME_BUFFERS_H
#define NAME_BUFFERS_H

#include <stddef.h>

// Functions for all other memory, instead of those of libc.
void use_allocator(void *(*allocate)(size_t), void (*release)(void *));

// `operator new[]`: the unused end of a buffer of 1 KiB is handed out again with the next one. Other sizes come from
// the allocator.
void *allocate_array(size_t size);
void *allocate_array_or_null(size_t size, const void *tag);

// `operator delete[]`, `operator delete` and `free`, which all may get such a buffer.
void free_array(void *memory);
void free_sized_array(void *memory, size_t size);

#endif
