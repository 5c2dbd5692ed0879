#define _GNU_SOURCE
#include "import-slots.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
static bool holds_address(uint64_t type) {
  return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT || type == R_X86_64_64;
}
#elif defined(__aarch64__)
static bool holds_address(uint64_t type) {
  return type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT || type == R_AARCH64_ABS64;
}
#else
#error "unknown architecture"
#endif

// The tables of a loaded program or library that its dynamic section names.
typedef struct {
  uintptr_t base;
  const ElfW(Sym) * symbols;
  const char *names;
} Library;

static void add_slots(SlotList *list, const Library *library, const ElfW(Rela) * relocations, size_t count) {
  for (size_t index = 0; index < count; index++) {
    if (!holds_address(ELF64_R_TYPE(relocations[index].r_info))) continue;
    const char *name = library->names + library->symbols[ELF64_R_SYM(relocations[index].r_info)].st_name;
    for (int kind = 0; kind < list->replacement_count; kind++) {
      if (strcmp(name, list->replacements[kind].name) != 0 || list->slot_count == MAX_SLOTS) continue;
      list->slots[list->slot_count++] = (Slot){
          .address = (void **)(library->base + relocations[index].r_offset),
          .replacement = kind,
      };
    }
  }
}

static bool is_left_alone(const struct dl_phdr_info *info) {
  static const char *const NAMES[] = {"/libc.so", "libpthread", "ld-musl", "vdso"};
  for (size_t index = 0; info->dlpi_name != NULL && index < sizeof NAMES / sizeof *NAMES; index++)
    if (strstr(info->dlpi_name, NAMES[index]) != NULL) return true;
  for (int index = 0; index < info->dlpi_phnum; index++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[index];
    uintptr_t start = info->dlpi_addr + header->p_vaddr;
    uintptr_t self = (uintptr_t)&is_left_alone;
    if (header->p_type == PT_LOAD && self >= start && self < start + header->p_memsz) return true;
  }
  return false;
}

static const ElfW(Dyn) * dynamic_section(const struct dl_phdr_info *info) {
  for (int index = 0; index < info->dlpi_phnum; index++)
    if (info->dlpi_phdr[index].p_type == PT_DYNAMIC)
      return (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[index].p_vaddr);
  return NULL;
}

static int add_library(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  SlotList *list = data;
  const ElfW(Dyn) *entry = dynamic_section(info);
  if (entry == NULL || is_left_alone(info)) return 0;
  uintptr_t base = info->dlpi_addr;
  uintptr_t jump_slots = 0, relocations = 0, names = 0, symbols = 0;
  size_t jump_slots_bytes = 0, relocations_bytes = 0;
  bool has_addends = true;
  for (; entry->d_tag != DT_NULL; entry++) {
    uintptr_t value = entry->d_un.d_ptr;
    // glibc adds the load address to this table in memory, musl does not.
    uintptr_t pointer = value < base ? value + base : value;
    switch (entry->d_tag) {
      case DT_JMPREL: jump_slots = pointer; break;
      case DT_PLTRELSZ: jump_slots_bytes = value; break;
      case DT_RELA: relocations = pointer; break;
      case DT_RELASZ: relocations_bytes = value; break;
      case DT_STRTAB: names = pointer; break;
      case DT_SYMTAB: symbols = pointer; break;
      case DT_PLTREL: has_addends = value == DT_RELA; break;
      default: break;
    }
  }
  if (names == 0 || symbols == 0 || !has_addends) return 0;
  Library library = {base, (const ElfW(Sym) *)symbols, (const char *)names};
  if (jump_slots != 0)
    add_slots(list, &library, (const ElfW(Rela) *)jump_slots, jump_slots_bytes / sizeof(ElfW(Rela)));
  if (relocations != 0)
    add_slots(list, &library, (const ElfW(Rela) *)relocations, relocations_bytes / sizeof(ElfW(Rela)));
  return 0;
}

void find_slots(SlotList *list) {
  list->slot_count = 0;
  dl_iterate_phdr(add_library, list);
}

bool has_slot(const SlotList *list, int replacement) {
  for (int index = 0; index < list->slot_count; index++)
    if (list->slots[index].replacement == replacement) return true;
  return false;
}

// The loader makes the slots read-only after it has filled them.
bool replace_slots(const SlotList *list) {
  long page_bytes = sysconf(_SC_PAGESIZE);
  for (int index = 0; index < list->slot_count; index++) {
    const Slot *slot = &list->slots[index];
    uintptr_t page = (uintptr_t)slot->address & ~(uintptr_t)(page_bytes - 1);
    if (mprotect((void *)page, (size_t)page_bytes, PROT_READ | PROT_WRITE) != 0) return false;
    *slot->address = list->replacements[slot->replacement].function;
  }
  return true;
}
