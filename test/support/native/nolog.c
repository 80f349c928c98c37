// Preloaded into a program: whoever opens /dev/kmsg to read it without waiting gets the error that
// VPROCFS_TEST_KMSG names, EPERM or ENOENT.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int opened(const char *path, int flags, mode_t mode) {
  const char *const error = getenv("VPROCFS_TEST_KMSG");
  const int reads = (flags & O_ACCMODE) == O_RDONLY && (flags & O_NONBLOCK) != 0;
  if (error != NULL && reads && strcmp(path, "/dev/kmsg") == 0) {
    errno = strcmp(error, "ENOENT") == 0 ? ENOENT : EPERM;
    return -1;
  }
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest) {
  return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return opened(path, flags | O_LARGEFILE, mode);
}
