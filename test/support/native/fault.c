// Ends by a fault of its own: `fault NAME segfault|trap|syscall` after its PID, which it prints.
// NAME becomes the name of the process. `fault NAME forks N` makes N children that wait, `fault NAME
// netlink` has the kernel tell of a message that is too long, of whom by the name only; with one more
// argument it then waits for the end of its input.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "printed.h"

static void forbid_getppid(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv) {
  if (argc < 3) return 1;
  prctl(PR_SET_NAME, argv[1]);
  printf("%d\n", (int)getpid());
  fflush(stdout);
  if (strcmp(argv[2], "segfault") == 0) fault();
  if (strcmp(argv[2], "trap") == 0) __builtin_trap();
  if (strcmp(argv[2], "syscall") == 0) {
    forbid_getppid();
    syscall(SYS_getppid);
  }
  if (strcmp(argv[2], "netlink") == 0) {
    const int status = send_leftover();
    if (argc > 3) getchar();
    return status;
  }
  if (strcmp(argv[2], "forks") == 0 && argc > 3) {
    for (int i = 0; i < atoi(argv[3]); ++i) {
      if (fork() == 0) {
        sleep(1);
        _exit(0);
      }
    }
    return 0;
  }
  return 1;
}
