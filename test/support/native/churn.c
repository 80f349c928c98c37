// A loaded container: `churn MIB PAUSE_MS FILE` uses CPU, memory and disk in turn, a little at a time,
// until stdin ends. A child does the work, since whoever uses memory may be killed for it.

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 16, PAGE = 4096 };

static char block[BLOCK] __attribute__((aligned(PAGE)));

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void burn(double ms) {
  for (const double end = now_ms() + ms; now_ms() < end;) {
  }
}

/// Past the page cache and through it.
static void write_and_read(const char *path, int round) {
  const int fd = open(path, O_RDWR | O_CREAT | (round % 2 == 0 ? O_DIRECT : 0), 0600);
  if (fd < 0) return;
  memset(block, round, BLOCK);
  if (pwrite(fd, block, BLOCK, (off_t)(round % 16) * BLOCK) > 0 && round % 4 == 1) fdatasync(fd);
  if (pread(fd, block, BLOCK, (off_t)((round + 1) % 16) * BLOCK) < 0) burn(1);
  close(fd);
}

static void work(size_t mebibytes, useconds_t pause_us, const char *path) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int round = 0;; ++round) {
    // More and less of it: between nothing and all in 16 steps.
    const size_t bytes = (mebibytes << 20) * (size_t)(round * 7 % 17) / 16;
    char *memory = bytes == 0 ? NULL : malloc(bytes);
    for (size_t at = 0; memory != NULL && at < bytes; at += PAGE) memory[at] = (char)(at >> 12 | 1);
    burn(8);
    write_and_read(path, round);
    const pid_t child = fork();
    if (child == 0) _exit(0);
    if (child > 0) waitpid(child, NULL, 0);
    usleep(pause_us);
    free(memory);
    usleep(pause_us);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const size_t mebibytes = strtoul(argv[1], NULL, 10);
  const useconds_t pause_us = (useconds_t)strtoul(argv[2], NULL, 10) * 1000;
  const char *path = argv[3];
  for (;;) {
    const pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) work(mebibytes, pause_us, path);
    int status;
    struct pollfd end = {STDIN_FILENO, POLLIN, 0};
    while (waitpid(child, &status, WNOHANG) == 0) {
      if (poll(&end, 1, 200) == 0) continue;
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      unlink(path);
      return 0;
    }
  }
}
