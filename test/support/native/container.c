// The init of a container made by hand: namespaces, cgroups and bind mounts, and nothing else.
//
//   container [--cgroup DIR]... [--inner DIR]... [--no-cgroupns] [--userns BASE] [--pidns PID]
//             [--cgroupns PID] [--name NAME] [--bind SOURCE TARGET]...
//
// Prints the init's PID as the caller sees it once all is in place, then waits for its end. The
// cgroups of --cgroup become the roots of the cgroup namespace; those of --inner are entered below
// them afterwards, as systemd does with init.scope.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 64 };

static const char *cgroups[MANY], *inner[MANY], *sources[MANY], *targets[MANY];
static int cgroup_count, inner_count, bind_count;
static const char *name, *pid_namespace, *cgroup_namespace;
static long user_base = -1;
static int new_cgroup_namespace = 1;

static void die(const char *format, ...) {
  const int error = errno;
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "container: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, ": %s\n", strerror(error));
  va_end(arguments);
  _exit(1);
}

static void write_file(const char *text, const char *format, ...) {
  char path[8192];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(path, sizeof(path), format, arguments);
  va_end(arguments);
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) die("%s", path);
  close(fd);
}

static void parse(int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(argv[i], "--no-cgroupns") == 0) {
      new_cgroup_namespace = 0;
      continue;
    }
    if (strcmp(argv[i], "--cgroup") == 0 && cgroup_count < MANY) cgroups[cgroup_count++] = value;
    else if (strcmp(argv[i], "--inner") == 0 && inner_count < MANY) inner[inner_count++] = value;
    else if (strcmp(argv[i], "--userns") == 0) user_base = strtol(value, NULL, 10);
    else if (strcmp(argv[i], "--pidns") == 0) pid_namespace = value;
    else if (strcmp(argv[i], "--cgroupns") == 0) cgroup_namespace = value;
    else if (strcmp(argv[i], "--name") == 0) name = value;
    else if (strcmp(argv[i], "--bind") == 0 && i + 2 < argc && bind_count < MANY) {
      sources[bind_count] = value;
      targets[bind_count++] = argv[++i + 1];
    } else {
      errno = EINVAL;
      die("%s", argv[i]);
    }
    ++i;
  }
}

static void join_namespace(const char *pid, const char *kind, int flag) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, kind);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, flag) != 0) die("%s", path);
  close(fd);
}

static void be_init(int go, int ready) {
  char byte;
  if (read(go, &byte, 1) != 1) _exit(1);
  if (user_base >= 0 && (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)) die("setresuid");
  // A change of ids takes it away.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int cgroups_too = new_cgroup_namespace && cgroup_namespace == NULL ? CLONE_NEWCGROUP : 0;
  if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | cgroups_too) != 0) die("unshare");
  for (int i = 0; i < inner_count; ++i) write_file("0", "%s/cgroup.procs", inner[i]);
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) die("private mounts");
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount("proc", "/proc", "proc", flags, NULL) != 0) die("/proc");
  for (int i = 0; i < bind_count; ++i) {
    if (mount(sources[i], targets[i], NULL, MS_BIND, NULL) != 0) die("bind of %s", sources[i]);
  }
  if (name != NULL) prctl(PR_SET_NAME, name);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  if (write(ready, "+", 1) != 1) _exit(1);
  close(ready);
  for (;;) {
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    sigwaitinfo(&child, NULL);
  }
}

int main(int argc, char **argv) {
  int go[2], ready[2];
  parse(argc, argv);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (pipe2(go, O_CLOEXEC) != 0 || pipe2(ready, O_CLOEXEC) != 0) die("pipe");
  if (cgroup_namespace != NULL) join_namespace(cgroup_namespace, "cgroup", CLONE_NEWCGROUP);
  if (pid_namespace != NULL) join_namespace(pid_namespace, "pid", CLONE_NEWPID);
  const unsigned long flags = (pid_namespace == NULL ? CLONE_NEWPID : 0) |
                              (user_base >= 0 ? CLONE_NEWUSER : 0) | SIGCHLD;
  const pid_t init = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
  if (init < 0) die("clone");
  if (init == 0) be_init(go[0], ready[1]);
  close(ready[1]);
  char text[64];
  snprintf(text, sizeof(text), "%d", init);
  for (int i = 0; i < cgroup_count; ++i) write_file(text, "%s/cgroup.procs", cgroups[i]);
  if (user_base >= 0) {
    snprintf(text, sizeof(text), "0 %ld 65536", user_base);
    write_file(text, "/proc/%d/uid_map", init);
    write_file(text, "/proc/%d/gid_map", init);
  }
  char byte;
  if (write(go[1], "+", 1) != 1 || read(ready[0], &byte, 1) != 1) {
    kill(init, SIGKILL);
    return 1;
  }
  printf("%d\n", init);
  fflush(stdout);
  waitpid(init, NULL, 0);
  return 0;
}
