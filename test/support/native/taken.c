// Takes a PID of the host's that has just become free: `taken PID NAME`, run in a container whose user
// namespace is the host's. Its child has that PID there; it says "ready" and ends with its stdin.

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 3) return 1;
  // The innermost first: one that nobody in the container has.
  pid_t numbers[] = {20000, (pid_t)atoi(argv[1])};
  struct clone_args args = {
      .exit_signal = SIGCHLD, .set_tid = (uintptr_t)numbers, .set_tid_size = 2};
  const pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (child < 0) {
    perror("clone3");
    return errno == EEXIST ? 2 : 1;
  }
  if (child == 0) {
    prctl(PR_SET_NAME, argv[2]);
    if (write(1, "ready\n", 6) != 6) _exit(1);
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  return 0;
}
