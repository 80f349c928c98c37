// Has the kernel told again and again that a file has become longer, while it reads the page that this
// takes: threads fill the page cache with what the file held at first (sendfile) and have it dropped,
// beside others that open the file, which holds more by now.
//
//   grow READERS OPENERS FILE
//
// Prints "ready" and runs until it is killed.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

static const char *file;
static int first;

static ssize_t length_of(int fd) {
  static char text[1 << 16];
  return pread(fd, text, sizeof text, 0);
}

static void *fill(void *unused) {
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (;;) {
    off_t at = 0;
    sendfile(null, first, &at, 1 << 16);
    posix_fadvise(first, 0, 0, POSIX_FADV_DONTNEED);
  }
  return unused;
}

static void *ask(void *unused) {
  for (;;) {
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) close(fd);
  }
  return unused;
}

static void start(int threads, void *(*what)(void *)) {
  pthread_t thread;
  while (threads-- > 0) {
    if (pthread_create(&thread, NULL, what, NULL) != 0) exit(1);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  file = argv[3];
  first = open(file, O_RDONLY | O_CLOEXEC);
  if (first < 0) return 1;
  // What is open keeps what it was read as; the CPU time that this takes makes the file longer.
  const ssize_t before = length_of(first);
  for (ssize_t now = before; now <= before;) {
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 1;
    now = length_of(fd);
    close(fd);
  }
  start(atoi(argv[1]), fill);
  start(atoi(argv[2]), ask);
  puts("ready");
  fflush(stdout);
  pause();
  return 0;
}
