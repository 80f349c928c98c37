// Stops each thread of a process when it is about to end a piece of work, and holds it there: to others
// it is at work that does not end.
//
//   stall PID answers|replies|takes
//
// "answers": those that write to a descriptor of /dev/fuse; "replies": those that answer a system call
// (SECCOMP_IOCTL_NOTIF_SEND); "takes": those that ask for the second time whether its caller waits, which is
// before they take text for it from a log. Prints "ready" once it has all threads that there are then, and "held"
// with how many it holds each time it holds one more. Threads that begin later are let alone, except by "takes".
// Ends with its stdin, and lets all go.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int pid;
static const char *what;

static int is_fuse(unsigned long fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof(link), "/proc/%d/fd/%lu", pid, fd);
  const ssize_t n = readlink(link, path, sizeof(path) - 1);
  return n > 0 && strncmp(path, "/dev/fuse", 9) == 0;
}

/* Whether the thread asks again what it has just asked of a listener. What it asks of others, such as
 * namespaces, comes between or not. */
static int asks_again(pid_t thread, unsigned long request) {
  static struct {
    pid_t thread;
    unsigned long request;
  } asked[64];
  if (_IOC_TYPE(request) != SECCOMP_IOC_MAGIC) return 0;
  for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); ++i) {
    if (asked[i].thread != 0 && asked[i].thread != thread) continue;
    const int again = asked[i].request == request && request == SECCOMP_IOCTL_NOTIF_ID_VALID;
    asked[i].thread = thread;
    asked[i].request = request;
    return again;
  }
  return 0;
}

static int ends_work(pid_t thread) {
  struct __ptrace_syscall_info info;
  const long n = ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info);
  if (n <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY) return 0;
  if (strcmp(what, "replies") == 0) {
    return info.entry.nr == SYS_ioctl && info.entry.args[1] == SECCOMP_IOCTL_NOTIF_SEND;
  }
  if (strcmp(what, "takes") == 0) {
    return info.entry.nr == SYS_ioctl && asks_again(thread, info.entry.args[1]);
  }
  const int writes = info.entry.nr == SYS_writev || info.entry.nr == SYS_write;
  return writes && is_fuse((unsigned long)info.entry.args[0]);
}

/* Stops the threads that there are and have not been stopped before; how many, or -1. */
static int stop_threads(long options) {
  static pid_t stopped[1024];
  static size_t all;
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/task", pid);
  DIR *threads = opendir(path);
  if (threads == NULL) return -1;
  int count = 0;
  for (struct dirent *one; (one = readdir(threads)) != NULL;) {
    const pid_t thread = (pid_t)atoi(one->d_name);
    size_t known = 0;
    while (known < all && stopped[known] != thread) ++known;
    if (thread <= 0 || known < all || all == sizeof(stopped) / sizeof(stopped[0])) continue;
    // It has ended since, or begins and is ours already.
    if (ptrace(PTRACE_SEIZE, thread, NULL, (void *)options) != 0) {
      if (errno == ESRCH || errno == EPERM) continue;
      return -1;
    }
    stopped[all++] = thread;
    ++count;
    ptrace(PTRACE_INTERRUPT, thread, NULL, NULL);
    // What it stops with is looked at later. One that has stopped begins no others.
    siginfo_t info;
    while (waitid(P_PID, (id_t)thread, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL) != 0 &&
           errno == EINTR) {
    }
  }
  closedir(threads);
  return count;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  pid = atoi(argv[1]);
  what = argv[2];
  sigset_t told;
  sigemptyset(&told);
  sigaddset(&told, SIGCHLD);
  const int stops = sigprocmask(SIG_BLOCK, &told, NULL) == 0 ? signalfd(-1, &told, 0) : -1;
  if (stops < 0) return 1;
  const long options =
      PTRACE_O_TRACESYSGOOD | (strcmp(what, "takes") == 0 ? PTRACE_O_TRACECLONE : 0);
  int more = stop_threads(options);
  if (more <= 0) return 1;
  while (more > 0) more = stop_threads(options);
  puts("ready");
  fflush(stdout);
  for (int held = 0;;) {
    int status = 0;
    const pid_t thread = waitpid(-1, &status, __WALL | WNOHANG);
    if (thread == 0) {
      struct pollfd p[] = {{STDIN_FILENO, POLLIN, 0}, {stops, POLLIN, 0}};
      if (poll(p, 2, -1) > 0 && p[0].revents != 0) return 0;
      struct signalfd_siginfo one;
      if (p[1].revents != 0 && read(stops, &one, sizeof(one)) != sizeof(one)) return 1;
      continue;
    }
    if (thread < 0 && errno != EINTR) return 0;
    if (thread < 0 || !WIFSTOPPED(status)) continue;
    const int number = WSTOPSIG(status);
    if (number == (SIGTRAP | 0x80) && ends_work(thread)) {
      printf("held %d\n", ++held);
      fflush(stdout);
      continue;
    }
    const int is_ours = number == (SIGTRAP | 0x80) || status >> 16 != 0;
    ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(long)(is_ours ? 0 : number));
  }
}
