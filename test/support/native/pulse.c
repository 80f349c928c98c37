// Reads a file as tools do (open, read to the end, or to where a kernel log would have it wait,
// close) for a while, and tells how long each took.
//
//   pulse MILLISECONDS FILE
//
// Prints "COUNT FAILED P50 P99 MAX", the last three in µs.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SAMPLES = 1 << 20 };

static uint32_t took[MAX_SAMPLES];

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int compare(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static int read_whole(const char *file) {
  static char bytes[1 << 16];
  const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return 0;
  ssize_t n, sum = 0;
  while ((n = read(fd, bytes, sizeof(bytes))) > 0) sum += n;
  const int at_end = n == 0 || errno == EAGAIN;
  close(fd);
  return at_end && sum > 0;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const uint64_t end = now_us() + strtoull(argv[1], NULL, 10) * 1000;
  size_t count = 0, failed = 0;
  while (count < MAX_SAMPLES) {
    const uint64_t begun = now_us();
    if (begun >= end) break;
    if (!read_whole(argv[2])) ++failed;
    took[count++] = (uint32_t)(now_us() - begun);
    usleep(200);
  }
  if (count == 0) return 1;
  qsort(took, count, sizeof(took[0]), compare);
  printf("%zu %zu %u %u %u\n", count, failed, took[count / 2], took[count * 99 / 100],
         took[count - 1]);
  return 0;
}
