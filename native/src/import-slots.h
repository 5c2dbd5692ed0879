// The slots through which Node and its libraries call functions of other libraries, such as libc. A slot holds the address
// of the function, so writing another address replaces the function for all callers.
#ifndef IMPORT_SLOTS_H
#define IMPORT_SLOTS_H

#include <stdbool.h>

// Node 20 has 17 for the thread functions and 34 more for those of memory, Node 26 a few more (measured). Addons add to them.
enum { MAX_SLOTS = 4096 };

typedef struct {
  const char *name;
  void *function;
} Replacement;

typedef struct {
  void **address;
  // Index into the replacements.
  int replacement;
} Slot;

typedef struct {
  const Replacement *replacements;
  int replacement_count;
  // Space for MAX_SLOTS, apart from this struct: an initialised array of this size would be in the binary.
  Slot *slots;
  int slot_count;
} SlotList;

// Finds the slots of all replacements. libc and this addon keep theirs: their own calls must stay real.
void find_slots(SlotList *list);

// Whether the function `replacement` has a slot. Node that is linked statically has none.
bool has_slot(const SlotList *list, int replacement);

// Writes the slots. False when the memory of one cannot be made writable.
bool replace_slots(const SlotList *list);

#endif
