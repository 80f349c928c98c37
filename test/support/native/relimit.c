// Writes to limits from many threads: each file in turn gets what it has already.
//
//   relimit THREADS ROUNDS FILE...
//
// Consecutive writes to one file would be one event for those who watch it. Prints "ready", and
// ends when each thread has written ROUNDS times to all files; 0: runs until it is killed.

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
static long rounds;

static void *write_all(void *unused) {
  for (long round = 0; rounds == 0 || round < rounds; ++round) {
    for (const struct limit *one = limits; one < limits + count; ++one) {
      if (pwrite(one->fd, one->text, one->size, 0) < 0) _exit(1);
    }
  }
  return unused;
}

int main(int argc, char **argv) {
  if (argc < 4 || argc - 3 > kMaxFiles) return 2;
  rounds = atol(argv[2]);
  for (; count < argc - 3; ++count) {
    struct limit *one = &limits[count];
    one->fd = open(argv[3 + count], O_RDWR | O_CLOEXEC);
    const ssize_t size = one->fd < 0 ? -1 : read(one->fd, one->text, sizeof(one->text));
    if (size <= 0) return 1;
    one->size = (size_t)size;
  }
  pthread_t threads[64];
  const int wanted = atoi(argv[1]);
  for (int i = 0; i < wanted && i < 64; ++i) {
    if (pthread_create(&threads[i], NULL, write_all, NULL) != 0) return 1;
  }
  puts("ready");
  fflush(stdout);
  for (int i = 0; i < wanted && i < 64; ++i) pthread_join(threads[i], NULL);
  return 0;
}
