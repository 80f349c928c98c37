// Uses memory until stdin ends: `eat MIB` prints "ready" once all of it has been touched.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  const size_t bytes = argc == 2 ? strtoul(argv[1], NULL, 10) << 20 : 0;
  char *memory = malloc(bytes);
  if (bytes == 0 || memory == NULL) return 1;
  // Not all the same: some kernels merge or drop equal pages.
  for (size_t i = 0; i < bytes; i += 4096) memset(memory + i, (int)(i >> 12 & 0xff) | 1, 4096);
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) {
  }
  free(memory);
  return 0;
}
