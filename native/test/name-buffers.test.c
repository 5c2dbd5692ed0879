// Tests of src/name-buffers.c, compiled with the sanitizers by test/unit/native/native.test.ts.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/name-buffers.h"

#define CHECK(condition)                                            \
  do {                                                              \
    if (!(condition)) {                                             \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition);       \
      exit(1);                                                      \
    }                                                               \
  } while (0)

enum { BUFFER_BYTES = 1024, NAMES = 200000, MIXED = 20000 };

static char *format_name(unsigned number) {
  char *buffer = allocate_array_or_null(BUFFER_BYTES, NULL);
  snprintf(buffer, BUFFER_BYTES, "%u", number);
  return buffer;
}

static void test_names_share_memory(void) {
  static char *names[NAMES];
  for (unsigned number = 0; number < NAMES; number++) names[number] = format_name(number);
  char expected[16];
  for (unsigned number = 0; number < NAMES; number++) {
    snprintf(expected, sizeof expected, "%u", number);
    CHECK(strcmp(names[number], expected) == 0);
    CHECK((uintptr_t)names[number] % 16 == 0);
  }
  // 16 bytes for each instead of 1 KiB.
  CHECK(names[NAMES - 1] - names[0] == (NAMES - 1) * 16L);
}

static void test_a_name_that_is_freed_at_once(void) {
  char *first = format_name(7);
  free_array(first);
  char *second = format_name(7);
  CHECK(second == first);
  for (int index = 1; index < BUFFER_BYTES; index++) CHECK(second[index] == 0);
}

static void test_a_long_name_keeps_its_length(void) {
  char *name = allocate_array(BUFFER_BYTES);
  memset(name, 'a', 100);
  char *other = format_name(1);
  CHECK(other >= name + 101 && strlen(name) == 100);
  char *full = allocate_array(BUFFER_BYTES);
  memset(full, 'b', BUFFER_BYTES);
  other = format_name(2);
  CHECK(other >= full + BUFFER_BYTES && full[BUFFER_BYTES - 1] == 'b');
}

// Buffers that are not names are written after the next one was handed out, or have zeros between other bytes.
static void test_other_buffers_are_kept_whole(void) {
  uint64_t *table = allocate_array(BUFFER_BYTES);
  uint64_t *second = allocate_array(BUFFER_BYTES);
  second[0] = 1;
  second[100] = 2;
  char *name = format_name(3);
  for (int index = 0; index < BUFFER_BYTES / 8; index++) table[index] = (uint64_t)index + 1;
  for (int index = 1; index < BUFFER_BYTES / 8; index++) second[index] = (uint64_t)index * 3;
  CHECK(strcmp(name, "3") == 0);
  for (int index = 0; index < BUFFER_BYTES / 8; index++) CHECK(table[index] == (uint64_t)index + 1);
  CHECK(second[0] == 1 && second[127] == 381);
}

static void test_other_sizes_are_those_of_malloc(void) {
  char *inherited = malloc(BUFFER_BYTES);
  free_array(inherited);
  char *small = allocate_array(10);
  char *large = allocate_array_or_null(1 << 20, NULL);
  memset(small, 1, 10);
  memset(large, 1, 1 << 20);
  free_sized_array(small, 10);
  free_array(large);
  free_array(NULL);
}

// Names, frees and other buffers in random order. Each buffer keeps its content.
static void test_random_order(void) {
  static struct {
    unsigned char *memory;
    unsigned size;
    unsigned char byte;
  } kept[MIXED];
  uint32_t random = 12345;
  for (unsigned index = 0; index < MIXED; index++) {
    random = random * 1664525 + 1013904223;
    unsigned size = (random >> 8) % 3 == 0 ? BUFFER_BYTES : (random >> 10) % 40 + 1;
    unsigned char *memory = allocate_array(BUFFER_BYTES);
    unsigned char byte = (unsigned char)((random >> 16) % 255 + 1);
    memset(memory, byte, size);
    kept[index].memory = memory;
    kept[index].size = size;
    kept[index].byte = byte;
    if ((random >> 24) % 4 != 0) continue;
    free_array(memory);
    kept[index].size = 0;
  }
  for (unsigned index = 0; index < MIXED; index++)
    for (unsigned byte = 0; byte < kept[index].size; byte++) CHECK(kept[index].memory[byte] == kept[index].byte);
}

int main(void) {
  test_names_share_memory();
  test_a_name_that_is_freed_at_once();
  test_a_long_name_keeps_its_length();
  test_other_buffers_are_kept_whole();
  test_other_sizes_are_those_of_malloc();
  test_random_order();
  return 0;
}
