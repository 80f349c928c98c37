// Opens, reads and closes a file again and again while a signal that it handles comes every 2 ms.
//
//   alarmed ROUNDS FILE
//
// Prints "DONE INTERRUPTED FAILED ALARMS\n": rounds without an error, with EINTR, with another one, and signals.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t alarms;

static void on_alarm(int signal) {
  (void)signal;
  alarms++;
}

static int once(const char *path) {
  char text[65536];
  struct stat st;
  if (stat(path, &st) != 0) return errno;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  ssize_t n;
  while ((n = read(fd, text, sizeof text)) > 0) continue;
  const int error = n < 0 ? errno : 0;
  close(fd);
  return error;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  // SA_RESTART, which no interrupted open(2) or stat(2) of a file heeds.
  const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  const struct itimerval often = {{0, 2000}, {0, 2000}};
  if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &often, NULL) != 0) return 1;
  long done = 0, interrupted = 0, failed = 0;
  for (long left = strtol(argv[1], NULL, 10); left > 0; --left) {
    const int error = once(argv[2]);
    if (error == 0) done++;
    else if (error == EINTR) interrupted++;
    else failed++;
  }
  printf("%ld %ld %ld %ld\n", done, interrupted, failed, (long)alarms);
  return 0;
}
