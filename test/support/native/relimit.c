// Writes to limits without end from many threads: each file in turn gets what it has already.
//
//   relimit THREADS FILE...
//
// Consecutive writes to one file would be one event for those who watch it. Prints "ready" and runs
// until it is killed.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { kMaxFiles = 64 };

struct limit {
  int fd;
  char text[128];
  size_t size;
};

static struct limit limits[kMaxFiles];
static int count;

static void *write_all(void *unused) {
  for (;;) {
    for (const struct limit *one = limits; one < limits + count; ++one) {
      if (pwrite(one->fd, one->text, one->size, 0) < 0) _exit(1);
    }
  }
  return unused;
}

int main(int argc, char **argv) {
  if (argc < 3 || argc - 2 > kMaxFiles) return 2;
  for (; count < argc - 2; ++count) {
    struct limit *one = &limits[count];
    one->fd = open(argv[2 + count], O_RDWR | O_CLOEXEC);
    const ssize_t size = one->fd < 0 ? -1 : read(one->fd, one->text, sizeof(one->text));
    if (size <= 0) return 1;
    one->size = (size_t)size;
  }
  pthread_t thread;
  for (int i = atoi(argv[1]); i > 0; --i) {
    if (pthread_create(&thread, NULL, write_all, NULL) != 0) return 1;
  }
  puts("ready");
  fflush(stdout);
  pause();
  return 0;
}
