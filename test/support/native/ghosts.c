// Containers in containers that have ended, whose open files live on: COUNT of them, until stdin ends.
//
//   ghosts COUNT BELOW FILE CGROUP...
//
// CGROUP: directories below which every one gets its own; that in the first has BELOW empty ones.
// Prints "OPENED OTHER" when all have tried.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

static int enter(const char *above, int i, int below) {
  char directory[PATH_MAX - 64], path[PATH_MAX];
  snprintf(directory, sizeof(directory), "%s/ghost%d", above, i);
  if (mkdir(directory, 0755) != 0 && errno != EEXIST) return -1;
  // A v1 cpuset takes no process in before it is filled.
  copy(above, directory, "cpuset.cpus");
  copy(above, directory, "cpuset.mems");
  for (int n = 0; n < below; ++n) {
    snprintf(path, sizeof(path), "%s/empty%d", directory, n);
    mkdir(path, 0755);
  }
  snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
  const int procs = open(path, O_WRONLY | O_CLOEXEC);
  if (procs < 0) return -1;
  const int failed = write(procs, "0", 1) != 1;
  close(procs);
  return failed;
}

static int live(int i, int below, const char *file, char **cgroups) {
  for (; *cgroups != NULL; ++cgroups, below = 0) {
    if (enter(*cgroups, i, below) != 0) return 1;
  }
  if (unshare(CLONE_NEWCGROUP) != 0) return 1;
  return open(file, O_RDONLY) < 0;
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  int opened = 0, other = 0;
  for (int i = 0; i < atoi(argv[1]); ++i) {
    // What it opens is ours when it has ended.
    const int flags = CLONE_NEWPID | CLONE_FILES | SIGCHLD;
    const pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
    if (pid < 0) return 1;
    if (pid == 0) _exit(live(i, atoi(argv[2]), argv[3], argv + 4));
    int status = 0;
    waitpid(pid, &status, 0);
    if (status == 0)
      ++opened;
    else
      ++other;
  }
  printf("%d %d\n", opened, other);
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}
