// Reads a file as a whole again and again, by one way of reading.
//
//   drain METHOD ROUNDS FILE
//
// Each round opens the file anew and prints "LENGTH\n" and as many bytes, or "-ERRNO\n" when there was nothing.
// Methods: read, read1 (one byte a time), pread, sendfile, splice, mmap.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = 1 << 20 };

static char data[ROOM];
static int pipe_fds[2];
static sigjmp_buf no_page;

static void on_bus_error(int signal) {
  (void)signal;
  siglongjmp(no_page, 1);
}

static ssize_t from_pipe(ssize_t n, char *to) {
  return n <= 0 ? n : read(pipe_fds[0], to, (size_t)n);
}

static ssize_t mapped(int fd, char *to, size_t at) {
  struct stat st;
  if (at > 0) return 0;
  if (fstat(fd, &st) != 0) return -1;
  const size_t size = (size_t)st.st_size;
  void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (map == MAP_FAILED) return -1;
  volatile ssize_t result = (ssize_t)size;
  if (sigsetjmp(no_page, 1) == 0) {
    memcpy(to, map, size);
  } else {
    errno = EFAULT;
    result = -1;
  }
  munmap(map, size);
  return result;
}

static ssize_t some(const char *method, int fd, size_t at) {
  char *to = data + at;
  const size_t room = ROOM - at;
  if (strcmp(method, "read") == 0) return read(fd, to, room);
  if (strcmp(method, "read1") == 0) return read(fd, to, 1);
  if (strcmp(method, "pread") == 0) return pread(fd, to, 100, (off_t)at);
  if (strcmp(method, "sendfile") == 0) {
    return from_pipe(sendfile(pipe_fds[1], fd, NULL, 65536), to);
  }
  if (strcmp(method, "splice") == 0) {
    return from_pipe(splice(fd, NULL, pipe_fds[1], NULL, 65536, 0), to);
  }
  return mapped(fd, to, at);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  signal(SIGBUS, on_bus_error);
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return 1;
  for (long left = strtol(argv[2], NULL, 10); left > 0; --left) {
    size_t at = 0;
    ssize_t n = -1;
    const int fd = open(argv[3], O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && at < ROOM && (n = some(argv[1], fd, at)) > 0) at += (size_t)n;
    if (n < 0 && at == 0) {
      printf("-%d\n", errno);
    } else {
      printf("%zu\n", at);
      fwrite(data, 1, at, stdout);
    }
    if (fd >= 0) close(fd);
  }
  return 0;
}
