// Takes a PID of the host's the moment it is free: `taken PID NAME lives|crashes|logs`, run in
// a container whose user namespace is the host's. Says "ready" when it tries, and "taken" when its
// child has that PID; the child ends with its stdin, or by a fault of its own. logs: for each byte
// of its stdin it makes a system call that the kernel logs, and nothing else happens to it.

#include <errno.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "printed.h"

static void log_calls(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_LOG),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof code / sizeof *code, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    perror("seccomp");
    _exit(1);
  }
}

int main(int argc, char** argv) {
  if (argc < 4) return 1;
  const int crashes = strcmp(argv[3], "crashes") == 0;
  // The innermost first: one that nobody in the container has.
  pid_t numbers[] = {20000, (pid_t)atoi(argv[1])};
  struct clone_args args = {
      .exit_signal = SIGCHLD, .set_tid = (uintptr_t)numbers, .set_tid_size = 2};
  prctl(PR_SET_NAME, argv[2]);
  if (write(1, "ready\n", 6) != 6) return 1;
  pid_t child;
  do {
    child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  } while (child < 0 && errno == EEXIST);
  if (child < 0) {
    perror("clone3");
    return 1;
  }
  if (child == 0) {
    if (crashes) fault();
    if (strcmp(argv[3], "logs") == 0) log_calls();
    char byte;
    while (read(0, &byte, 1) > 0) syscall(SYS_getppid);
    _exit(0);
  }
  if (write(1, "taken\n", 6) != 6) return 1;
  int status;
  waitpid(child, &status, 0);
  return 0;
}
