// Asks for the same thing without end from many threads.
//
//   flood WHAT THREADS FILE
//
// WHAT: "poll", "readdir" (FILE's directory), "walk" (all that is two directories above it),
// "stat", "signals" (the same while signals come), "lookup" (what is not there), "fstat", "access",
// "pread", "read" (what is there, without waiting), "seek" (to the end), "open", "write" (bytes
// that are no trigger), "ioctl" (of no meaning, with 16 KiB), or "exec" (FILE, which is to end at
// once). Prints "ready" and runs until it is killed.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static __thread timer_t alarm_of_thread;
static const char *what, *file;
static char directory[4096], tree[4096 + 3], nothing[4096 + 6];

static int visit(const char *path, const struct stat *st, int type, struct FTW *at) {
  (void)path, (void)st, (void)type, (void)at;
  return 0;
}

static void once(int fd) {
  char bytes[1024];
  if (strcmp(what, "poll") == 0) {
    struct pollfd p = {fd, POLLPRI, 0};
    poll(&p, 1, 0);
  } else if (strcmp(what, "readdir") == 0) {
    DIR *dir = opendir(directory);
    while (dir != NULL && readdir(dir) != NULL) {
    }
    if (dir != NULL) closedir(dir);
  } else if (strcmp(what, "walk") == 0) {
    nftw(tree, visit, 16, FTW_PHYS);
  } else if (strcmp(what, "stat") == 0) {
    struct stat st;
    stat(file, &st);
  } else if (strcmp(what, "fstat") == 0) {
    struct stat st;
    fstat(fd, &st);
  } else if (strcmp(what, "seek") == 0) {
    lseek(fd, 0, SEEK_END);
  } else if (strcmp(what, "read") == 0) {
    // From the beginning again when all is read.
    if (read(fd, bytes, sizeof(bytes)) < 0 && errno == EAGAIN) lseek(fd, 0, SEEK_SET);
  } else if (strcmp(what, "lookup") == 0) {
    struct stat st;
    stat(nothing, &st);
  } else if (strcmp(what, "signals") == 0) {
    // Each is told of one signal, or more.
    struct stat st;
    const struct itimerspec soon = {{0, 200000}, {0, 100000}};
    timer_settime(alarm_of_thread, 0, &soon, NULL);
    stat(file, &st);
  } else if (strcmp(what, "access") == 0) {
    access(file, R_OK);
  } else if (strcmp(what, "pread") == 0) {
    if (pread(fd, bytes, sizeof(bytes), 1) < 0) return;
  } else if (strcmp(what, "write") == 0) {
    if (write(fd, "nothing", 7) < 0) return;
  } else if (strcmp(what, "ioctl") == 0) {
    // Of a request that is as long as can be.
    static const char page[16383];
    ioctl(fd, _IOC(_IOC_WRITE, 'x', 1, sizeof(page)), page);
  } else if (strcmp(what, "exec") == 0) {
    char *const arguments[] = {"flood", NULL};
    pid_t pid = 0;
    if (posix_spawn(&pid, file, NULL, NULL, arguments, environ) == 0) waitpid(pid, NULL, 0);
  } else {
    const int again = open(file, O_RDONLY | O_CLOEXEC);
    if (again >= 0) close(again);
  }
}

static void ignore(int number) { (void)number; }

static void *flood(void *unused) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
  event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
  timer_create(CLOCK_MONOTONIC, &event, &alarm_of_thread);
  const int mode = strcmp(what, "write") == 0 ? O_RDWR : O_RDONLY;
  const int fd = open(file, mode | O_CLOEXEC | O_NONBLOCK);
  for (;;) once(fd);
  return unused;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  what = argv[1];
  file = argv[3];
  snprintf(directory, sizeof(directory), "%s", file);
  dirname(directory);
  snprintf(nothing, sizeof(nothing), "%s/none", directory);
  snprintf(tree, sizeof(tree), "%s/..", directory);
  signal(SIGUSR1, ignore);
  pthread_t thread;
  for (int i = atoi(argv[2]); i > 0; --i) {
    if (pthread_create(&thread, NULL, flood, NULL) != 0) return 1;
  }
  puts("ready");
  fflush(stdout);
  pause();
  return 0;
}
