// What hold.c and disturb.c have in common: they do something COUNT times with a file, tell how often it
// could be done, and go on until they are killed.

#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

enum { NOT_HERE = 3, TEXT = 1 << 16 };

static const char *file;
static long count, done, refused;

static void began(void) {
  printf("ready %ld %ld\n", done, refused);
  fflush(stdout);
}

static void tally(int succeeded) {
  if (succeeded) {
    ++done;
  } else {
    ++refused;
  }
}

static int open_it(void) { return open(file, O_RDONLY | O_CLOEXEC); }

/// Reads all of it, from the beginning.
static void read_all(int fd) {
  static char text[TEXT];
  for (off_t at = 0;;) {
    const ssize_t n = pread(fd, text, sizeof(text), at);
    if (n <= 0) return;
    at += n;
  }
}

static pid_t child(void) {
  const pid_t pid = fork();
  if (pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  return pid;
}

struct Act {
  const char *name;
  void (*act)(void);
};

/// Runs the one that is asked for, with as many open files as can be had.
static int run_act(const struct Act *acts, int argc, char **argv) {
  if (argc < 4) return 2;
  count = atol(argv[2]);
  file = argv[3];
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  for (; acts->name != NULL; ++acts) {
    if (strcmp(acts->name, argv[1]) == 0) acts->act();
  }
  return 2;
}
