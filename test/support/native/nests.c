// Containers in containers: COUNT of them, each with a PID namespace, a cgroup namespace and a cgroup
// of its own below PREFIX/.../NAME<i>, each holding OPENS open files of FILE, until stdin ends.
//
//   nests COUNT OPENS FILE CGROUP...
//
// CGROUP: directories below which every one gets its own. Prints "READY OPENED REFUSED OTHER" once
// all have tried, where OTHER counts errors that are neither ENFILE nor ENOMEM, which a look-up gets
// instead, and READY those that live.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct Tally {
  long opened, refused, other;
};

static int tallies[2], quit[2];

static void copy(const char *from, const char *to, const char *name) {
  char path[PATH_MAX], text[256];
  snprintf(path, sizeof(path), "%s/%s", from, name);
  const int in = open(path, O_RDONLY | O_CLOEXEC);
  if (in < 0) return;
  const ssize_t n = read(in, text, sizeof(text));
  close(in);
  snprintf(path, sizeof(path), "%s/%s", to, name);
  const int out = open(path, O_WRONLY | O_CLOEXEC);
  if (out < 0) return;
  if (write(out, text, n > 0 ? (size_t)n : 0) < 0) perror(path);
  close(out);
}

/// Enters the i-th cgroup below `above`; made when it is not there.
static int enter(const char *above, int i) {
  char directory[PATH_MAX - 32], path[PATH_MAX];
  snprintf(directory, sizeof(directory), "%s/nest%d", above, i);
  if (mkdir(directory, 0755) != 0 && errno != EEXIST) return -1;
  // A v1 cpuset takes no process in before it is filled.
  copy(above, directory, "cpuset.cpus");
  copy(above, directory, "cpuset.mems");
  snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
  const int procs = open(path, O_WRONLY | O_CLOEXEC);
  if (procs < 0) return -1;
  const int failed = write(procs, "0", 1) != 1;
  close(procs);
  return failed ? -1 : 0;
}

static int live(int i, long opens, const char *file, char **cgroups) {
  struct Tally tally = {0, 0, 0};
  char byte;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(quit[1]);
  close(tallies[0]);
  for (; *cgroups != NULL; ++cgroups) {
    if (enter(*cgroups, i) != 0) tally.other += opens;
  }
  if (unshare(CLONE_NEWCGROUP) != 0) return 1;
  for (long n = 0; n < opens; ++n) {
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) ++tally.opened;
    else if (errno == ENFILE || errno == ENOMEM) ++tally.refused;
    else ++tally.other;
  }
  if (write(tallies[1], &tally, sizeof(tally)) < 0) return 1;
  while (read(quit[0], &byte, 1) > 0) {
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const int count = atoi(argv[1]);
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (pipe(tallies) != 0 || pipe(quit) != 0) return 1;
  struct Tally sum = {0, 0, 0};
  int ready = 0;
  for (int i = 0; i < count; ++i) {
    const pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid < 0) break;
    if (pid == 0) _exit(live(i, atol(argv[2]), argv[3], argv + 4));
    struct Tally one;
    if (read(tallies[0], &one, sizeof(one)) != sizeof(one)) return 1;
    ++ready;
    sum.opened += one.opened;
    sum.refused += one.refused;
    sum.other += one.other;
  }
  printf("%d %ld %ld %ld\n", ready, sum.opened, sum.refused, sum.other);
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  close(quit[1]);
  close(quit[0]);
  while (wait(NULL) > 0) {
  }
  return 0;
}
