// Preloaded into a program: CLOCK_REALTIME is so many seconds from what it is as the file that
// VPROCFS_TEST_CLOCK names says at that moment, in decimal. No other clock is touched.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t shift(void) {
  const char *const path = getenv("VPROCFS_TEST_CLOCK");
  char text[32] = "";
  const int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  if (read(fd, text, sizeof(text) - 1) < 0) text[0] = '\0';
  close(fd);
  return (time_t)atoll(text);
}

int clock_gettime(clockid_t clock, struct timespec *out) {
  const int failed = (int)syscall(SYS_clock_gettime, clock, out);
  if (failed == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    out->tv_sec += shift();
  }
  return failed;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}
