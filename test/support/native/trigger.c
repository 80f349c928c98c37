// Writes triggers to pressure files and polls for them.
//
//   trigger try FILE TEXT...     opens the file for each text, writes it and prints the errno's name
//   trigger poll FILE [TEXT]     writes the text, says "armed" or the errno's name, and then prints
//                                what poll(2) says, in hex, each time that it is more than "readable
//                                and writable", until stdin ends; without a text: once
//   trigger churn COUNT FILE TEXT    opens, writes and closes, COUNT times; prints how many failed
//   trigger hoard COUNT FILE TEXT    opens COUNT and writes to each; prints "ok ENOSPC other" and
//                                keeps them until stdin ends
//
// Texts are written with the 0 at their end.
//
// What has happened is told before the end of stdin counts.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *name_of(int code) { return code == 0 ? "ok" : strerrorname_np(code); }

// The descriptor, or -1; `code` becomes 0 or the errno.
static int arm(const char *file, const char *text, int *code) {
  *code = 0;
  const int fd = open(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    *code = errno;
    return -1;
  }
  const size_t size = strlen(text) + 1;
  const ssize_t n = write(fd, text, size);
  if (n != (ssize_t)size) *code = n < 0 ? errno : EIO;
  return fd;
}

static int try(char **words) {
  for (const char *file = *words++; *words != NULL; ++words) {
    int code;
    const int fd = arm(file, *words, &code);
    printf("%s\n", name_of(code));
    if (fd < 0) continue;
    // A second one for the same descriptor.
    if (code == 0 && write(fd, *words, strlen(*words) + 1) >= 0) return 1;
    if (code == 0 && errno != EBUSY) return 1;
    close(fd);
  }
  return 0;
}

static int poll_for(const char *file, const char *text) {
  int code = 0;
  const int fd = text == NULL ? open(file, O_RDWR | O_CLOEXEC) : arm(file, text, &code);
  if (fd < 0) return 1;
  if (text != NULL) {
    printf("%s\n", code == 0 ? "armed" : name_of(code));
    fflush(stdout);
    if (code != 0) return 0;
  }
  for (;;) {
    struct pollfd fds[] = {{fd, POLLPRI, 0}, {STDIN_FILENO, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) return 1;
    if (fds[0].revents == 0) return 0;
    printf("%x\n", (unsigned)fds[0].revents);
    fflush(stdout);
    // An error stays for ever.
    if (text == NULL || (fds[0].revents & POLLERR) != 0) return 0;
  }
}

static int churn(long count, const char *file, const char *text) {
  long failed = 0;
  for (; count > 0; --count) {
    int code;
    const int fd = arm(file, text, &code);
    if (code != 0) {
      if (failed++ == 0) fprintf(stderr, "%s\n", name_of(code));
    }
    if (fd >= 0) close(fd);
  }
  printf("%ld\n", failed);
  return 0;
}

static int hoard(long count, const char *file, const char *text) {
  long ok = 0, full = 0, other = 0;
  for (; count > 0; --count) {
    int code;
    arm(file, text, &code);
    ++*(code == 0 ? &ok : code == ENOSPC ? &full : &other);
  }
  printf("%ld %ld %ld\n", ok, full, other);
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc >= 3 && strcmp(argv[1], "try") == 0) return try(argv + 2);
  if (argc >= 3 && strcmp(argv[1], "poll") == 0) return poll_for(argv[2], argv[3]);
  if (argc == 5 && strcmp(argv[1], "churn") == 0) return churn(atol(argv[2]), argv[3], argv[4]);
  if (argc == 5 && strcmp(argv[1], "hoard") == 0) return hoard(atol(argv[2]), argv[3], argv[4]);
  return 2;
}
