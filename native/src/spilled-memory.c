#define _GNU_SOURCE
#include "spilled-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  MIN_PAGE_BYTES = 4096,
  MAX_PAGES_PER_GROUP = GROUP_BYTES / MIN_PAGE_BYTES,
  // The first pass unmaps a group, the second drops what was not used since.
  PASSES = 3,
};

// A mark of /proc/self/pagemap: the page is mapped, so it was used since it was unmapped.
static const uint64_t PAGE_IS_PRESENT = 1ULL << 63;

typedef enum { GROUP_UNUSED, GROUP_IN_MEMORY, GROUP_IN_FILE } GroupState;

static int spill_file;
// The same file without the page cache, whose pages would count as memory until they are written; or the file itself.
static int direct_file;
static int pagemap;
static size_t page_bytes;
static char *start;
static size_t reserved_bytes;
static size_t usable_bytes;
static unsigned char states[MAX_GROUPS];
// Whether the pages of a group in the file were unmapped, so that a page that is mapped now was used since.
static bool is_unmapped[MAX_GROUPS];
static size_t next_group;
// The timer must not move a group while its mapping changes.
static volatile bool is_changing;

// Opens a second time: the descriptor of the parent has no O_DIRECT, and its flags belong to both processes.
static int open_direct(int file) {
  char path[32] = "/proc/self/fd/";
  char digits[12];
  int count = 0;
  for (; file > 0 || count == 0; file /= 10) digits[count++] = (char)('0' + file % 10);
  char *end = path + strlen(path);
  while (count > 0) *end++ = digits[--count];
  return open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

bool open_spilled_memory(int file, uint64_t max_bytes) {
  page_bytes = (size_t)sysconf(_SC_PAGESIZE);
  if (page_bytes < MIN_PAGE_BYTES || page_bytes > GROUP_BYTES) return false;
  spill_file = file;
  direct_file = open_direct(file);
  if (direct_file < 0) direct_file = spill_file;
  pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  uint64_t groups = max_bytes / GROUP_BYTES + 1;
  reserved_bytes = (size_t)(groups < MAX_GROUPS ? groups : MAX_GROUPS) * GROUP_BYTES;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  char *address = mmap(NULL, reserved_bytes + GROUP_BYTES, PROT_NONE, flags, -1, 0);
  if (address == MAP_FAILED) return false;
  start = (char *)(((uintptr_t)address + GROUP_BYTES - 1) & ~(uintptr_t)(GROUP_BYTES - 1));
  return true;
}

char *spilled_memory_start(void) { return start; }

size_t spilled_memory_bytes(void) { return reserved_bytes; }

bool is_spilled_memory_changing(void) { return is_changing; }

bool extend_spilled_memory(size_t end) {
  if (end > reserved_bytes) return false;
  while (usable_bytes < end) {
    if (mprotect(start + usable_bytes, GROUP_BYTES, PROT_READ | PROT_WRITE) != 0) return false;
    states[usable_bytes / GROUP_BYTES] = GROUP_IN_MEMORY;
    usable_bytes += GROUP_BYTES;
  }
  return true;
}

static void discard_in_group(size_t offset, size_t bytes) {
  if (states[offset / GROUP_BYTES] == GROUP_IN_MEMORY) {
    madvise(start + offset, bytes, MADV_DONTNEED);
    return;
  }
  const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  // A file system without holes keeps the space, but the bytes must read as zero.
  if (fallocate(spill_file, mode, (off_t)offset, (off_t)bytes) != 0) memset(start + offset, 0, bytes);
}

void discard_memory(size_t offset, size_t bytes) {
  is_changing = true;
  for (size_t end = offset + bytes; offset < end;) {
    size_t group_end = (offset / GROUP_BYTES + 1) * GROUP_BYTES;
    size_t length = (group_end < end ? group_end : end) - offset;
    discard_in_group(offset, length);
    offset += length;
  }
  is_changing = false;
}

// Waits until the pages are on the disk, because the cache keeps changed pages. The wait slows down who needs the memory.
static bool write_back(size_t group) {
  const unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  while (sync_file_range(spill_file, (off_t)(group * GROUP_BYTES), GROUP_BYTES, flags) != 0)
    if (errno != EINTR) return false;
  return true;
}

static void drop_from_cache(size_t offset, size_t bytes) {
  posix_fadvise(spill_file, (off_t)offset, (off_t)bytes, POSIX_FADV_DONTNEED);
}

static bool write_group(size_t group) {
  size_t offset = group * GROUP_BYTES;
  for (size_t done = 0; done < GROUP_BYTES;) {
    ssize_t length = pwrite(direct_file, start + offset + done, GROUP_BYTES - done, (off_t)(offset + done));
    if (length > 0) {
      done += (size_t)length;
    } else if (length < 0 && errno == EINVAL && direct_file != spill_file) {
      // The file system opens with O_DIRECT and then refuses it.
      close(direct_file);
      direct_file = spill_file;
    } else if (length == 0 || errno != EINTR) {
      return false;
    }
  }
  if (direct_file != spill_file) return true;
  if (!write_back(group)) return false;
  drop_from_cache(offset, GROUP_BYTES);
  return true;
}

static bool move_to_file(size_t group) {
  size_t offset = group * GROUP_BYTES;
  if (!write_group(group)) return false;
  const int flags = MAP_SHARED | MAP_FIXED;
  char *address = mmap(start + offset, GROUP_BYTES, PROT_READ | PROT_WRITE, flags, spill_file, (off_t)offset);
  if (address == MAP_FAILED) return false;
  // The kernel would read 128 KiB for each page that is used, and evict as much again (measured: the deadline passed).
  madvise(address, GROUP_BYTES, MADV_RANDOM);
  states[group] = GROUP_IN_FILE;
  is_unmapped[group] = true;
  return true;
}

// Which pages of a group are in memory, also those of the page cache. Returns their number.
static size_t read_resident_pages(size_t group, unsigned char *resident) {
  size_t count = GROUP_BYTES / page_bytes;
  if (mincore(start + group * GROUP_BYTES, GROUP_BYTES, resident) != 0) memset(resident, 1, count);
  size_t found = 0;
  for (size_t page = 0; page < count; page++) found += resident[page] & 1;
  return found;
}

// The pages that were used since the group was unmapped; none when the kernel does not tell.
static void read_used_pages(size_t group, bool *used) {
  static uint64_t entries[MAX_PAGES_PER_GROUP];
  size_t count = GROUP_BYTES / page_bytes;
  uintptr_t first = (uintptr_t)(start + group * GROUP_BYTES) / page_bytes;
  size_t length = count * sizeof *entries;
  ssize_t got = pread(pagemap, entries, length, (off_t)(first * sizeof *entries));
  for (size_t page = 0; page < count; page++)
    used[page] = got == (ssize_t)length && (entries[page] & PAGE_IS_PRESENT) != 0;
}

typedef struct {
  bool is_written;
  size_t freed_bytes;
} Eviction;

// Drops the pages in the cache that `used` does not keep: the group is written at once, and each run of neighbours is
// dropped by one call.
static Eviction drop_pages(size_t group, const unsigned char *resident, const bool *used) {
  size_t count = GROUP_BYTES / page_bytes;
  Eviction eviction = {write_back(group), 0};
  for (size_t page = 0; page < count && eviction.is_written;) {
    size_t first = page;
    while (page < count && (resident[page] & 1) && !used[page]) page++;
    size_t bytes = (page - first) * page_bytes;
    if (bytes > 0) drop_from_cache(group * GROUP_BYTES + first * page_bytes, bytes);
    eviction.freed_bytes += bytes;
    if (page == first) page++;
  }
  return eviction;
}

// Unmapping costs no reading or writing. Whatever is mapped at the next pass was used in between.
static Eviction evict_from_file(size_t group, const unsigned char *resident, bool is_everything) {
  static bool used[MAX_PAGES_PER_GROUP];
  memset(used, 0, sizeof used);
  bool is_known = is_unmapped[group];
  if (is_known && !is_everything) read_used_pages(group, used);
  madvise(start + group * GROUP_BYTES, GROUP_BYTES, MADV_DONTNEED);
  is_unmapped[group] = true;
  return is_known || is_everything ? drop_pages(group, resident, used) : (Eviction){true, 0};
}

static Eviction evict_group(size_t group, bool is_everything) {
  static unsigned char resident[MAX_PAGES_PER_GROUP];
  size_t pages = read_resident_pages(group, resident);
  if (pages == 0) return (Eviction){true, 0};
  if (states[group] == GROUP_IN_FILE) return evict_from_file(group, resident, is_everything);
  return (Eviction){move_to_file(group), pages * page_bytes};
}

bool evict_memory(size_t bytes, bool is_everything) {
  if (is_changing) return true;
  is_changing = true;
  size_t groups = usable_bytes / GROUP_BYTES;
  size_t looks = is_everything ? groups : PASSES * groups;
  bool is_written = true;
  for (size_t freed = 0; looks > 0 && is_written && (is_everything || freed < bytes); looks--) {
    if (next_group >= groups) next_group = 0;
    Eviction eviction = evict_group(next_group, is_everything);
    is_written = eviction.is_written;
    freed += eviction.freed_bytes;
    next_group++;
  }
  is_changing = false;
  return is_written;
}
