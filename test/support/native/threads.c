// Several threads read from one descriptor at once.
//
//   threads METHOD THREADS ROUNDS FILE
//
// whole:  each pread(2)s everything from offset 0; prints "LENGTH\n" and the bytes of each.
// stream: they share the file offset, one byte per read(2), and start over together; prints what
//         they read in a round in the order of the offsets, which read(2) does not tell: sorted.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 1 << 17, MAX_THREADS = 16 };

static int fd, threads;
static long rounds;
static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static char streamed[ROOM];
static size_t streamed_length;

static void print(const char *bytes, size_t length) {
  pthread_mutex_lock(&output);
  printf("%zu\n", length);
  fwrite(bytes, 1, length, stdout);
  pthread_mutex_unlock(&output);
}

static void *whole(void *unused) {
  char *data = malloc(ROOM);
  for (long i = 0; i < rounds; ++i) {
    const ssize_t n = pread(fd, data, ROOM, 0);
    if (n < 0) exit(1);
    print(data, (size_t)n);
  }
  free(data);
  return unused;
}

static int by_byte(const void *a, const void *b) {
  return *(const char *)a - *(const char *)b;
}

static void *stream(void *unused) {
  for (long i = 0; i < rounds; ++i) {
    char byte;
    ssize_t n;
    while ((n = read(fd, &byte, 1)) == 1) {
      pthread_mutex_lock(&output);
      streamed[streamed_length++ % ROOM] = byte;
      pthread_mutex_unlock(&output);
    }
    if (n < 0) exit(1);
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
      qsort(streamed, streamed_length, 1, by_byte);
      print(streamed, streamed_length);
      streamed_length = 0;
      if (lseek(fd, 0, SEEK_SET) != 0) exit(1);
    }
    pthread_barrier_wait(&barrier);
  }
  return unused;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  threads = atoi(argv[2]);
  rounds = atol(argv[3]);
  fd = open(argv[4], O_RDONLY | O_CLOEXEC);
  if (fd < 0 || threads < 1 || threads > MAX_THREADS) return 1;
  pthread_barrier_init(&barrier, NULL, (unsigned)threads);
  pthread_t all[MAX_THREADS];
  for (int i = 0; i < threads; ++i) {
    pthread_create(&all[i], NULL, strcmp(argv[1], "whole") == 0 ? whole : stream, NULL);
  }
  for (int i = 0; i < threads; ++i) pthread_join(all[i], NULL);
  return 0;
}
