#define _GNU_SOURCE
#include "thread-calls.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "exit-codes.h"

// A timed wait that is repeated so often is a loop that waits for a dead thread.
enum { MAX_TIMED_WAITS = 1000 };
static int timed_waits = 0;

static int ignore_signal(void *condition) {
  (void)condition;
  return 0;
}

static int refuse_wait(void *condition, void *mutex) {
  (void)condition, (void)mutex;
  _exit(EXIT_CONDITION);
}

static int time_out(void) {
  timed_waits += 1;
  if (timed_waits > MAX_TIMED_WAITS) _exit(EXIT_CONDITION);
  return ETIMEDOUT;
}

static int time_out_wait(void *condition, void *mutex, const struct timespec *until) {
  (void)condition, (void)mutex, (void)until;
  return time_out();
}

static int time_out_clock_wait(void *condition, void *mutex, int clock, const struct timespec *until) {
  (void)condition, (void)mutex, (void)clock, (void)until;
  return time_out();
}

static int lock_mutex(pthread_mutex_t *mutex) {
  int error = pthread_mutex_trylock(mutex);
  if (error == EBUSY || error == EDEADLK) _exit(EXIT_MUTEX);
  return error;
}

static int lock_for_reading(pthread_rwlock_t *lock) {
  int error = pthread_rwlock_tryrdlock(lock);
  if (error == EBUSY) _exit(EXIT_RWLOCK);
  return error;
}

static int lock_for_writing(pthread_rwlock_t *lock) {
  int error = pthread_rwlock_trywrlock(lock);
  if (error == EBUSY) _exit(EXIT_RWLOCK);
  return error;
}

static int take_semaphore(sem_t *semaphore) {
  if (sem_trywait(semaphore) != 0) _exit(EXIT_SEMAPHORE);
  return 0;
}

static int refuse_join(pthread_t thread, void **result) {
  (void)thread, (void)result;
  _exit(EXIT_JOIN);
}

typedef struct {
  const char *name;
  void *function;
} Replacement;

static const Replacement REPLACEMENTS[] = {
    {"pthread_cond_signal", ignore_signal},
    {"pthread_mutex_lock", lock_mutex},
    {"pthread_cond_broadcast", ignore_signal},
    {"pthread_cond_wait", refuse_wait},
    {"pthread_cond_timedwait", time_out_wait},
    {"pthread_cond_clockwait", time_out_clock_wait},
    {"pthread_rwlock_rdlock", lock_for_reading},
    {"pthread_rwlock_wrlock", lock_for_writing},
    {"sem_wait", take_semaphore},
    {"pthread_join", refuse_join},
};
enum {
  REPLACEMENT_COUNT = sizeof REPLACEMENTS / sizeof *REPLACEMENTS,
  // The first two must be found, or the child would hang.
  REQUIRED_COUNT = 2,
  // Node and libstdc++ have 17 (measured). Addons of the application add to them.
  MAX_SLOTS = 512,
};

typedef struct {
  void **address;
  void *function;
} Slot;

static Slot slots[MAX_SLOTS];
static int slot_count;
static bool is_found[REPLACEMENT_COUNT];

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

static void add_slots(const Library *library, const ElfW(Rela) * relocations, size_t count) {
  for (size_t index = 0; index < count; index++) {
    if (!holds_address(ELF64_R_TYPE(relocations[index].r_info))) continue;
    const char *name = library->names + library->symbols[ELF64_R_SYM(relocations[index].r_info)].st_name;
    for (int kind = 0; kind < REPLACEMENT_COUNT; kind++) {
      if (strcmp(name, REPLACEMENTS[kind].name) != 0 || slot_count == MAX_SLOTS) continue;
      slots[slot_count++] = (Slot){
          .address = (void **)(library->base + relocations[index].r_offset),
          .function = REPLACEMENTS[kind].function,
      };
      is_found[kind] = true;
    }
  }
}

// libc calls its own functions directly. Our own calls must stay real.
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

static int add_library(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)size, (void)unused;
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
    add_slots(&library, (const ElfW(Rela) *)jump_slots, jump_slots_bytes / sizeof(ElfW(Rela)));
  if (relocations != 0)
    add_slots(&library, (const ElfW(Rela) *)relocations, relocations_bytes / sizeof(ElfW(Rela)));
  return 0;
}

bool find_thread_calls(void) {
  slot_count = 0;
  memset(is_found, 0, sizeof is_found);
  dl_iterate_phdr(add_library, NULL);
  for (int kind = 0; kind < REQUIRED_COUNT; kind++)
    if (!is_found[kind]) return false;
  return true;
}

// The loader makes the slots read-only after it has filled them.
bool replace_thread_calls(void) {
  long page_bytes = sysconf(_SC_PAGESIZE);
  for (int index = 0; index < slot_count; index++) {
    uintptr_t page = (uintptr_t)slots[index].address & ~(uintptr_t)(page_bytes - 1);
    if (mprotect((void *)page, (size_t)page_bytes, PROT_READ | PROT_WRITE) != 0) return false;
    *slots[index].address = slots[index].function;
  }
  return true;
}
