// Has the kernel log as much as it can that looks as if it were about somebody else, and writes the
// same to its own /dev/kmsg: `forger MS PID CGROUP`, the PID and the cgroup being those of the one who
// is to be told. Processes end by faults, by system calls that kill them and by nothing, under names
// that look like records. Says how many there were.

#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "printed.h"

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void end(const char* name, unsigned how) {
  prctl(PR_SET_NAME, name);
  if (how == 0) fault();
  if (how == 1) __builtin_trap();
  if (how == 2) {
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    syscall(SYS_getppid);
  }
  _exit(send_leftover() == 0 ? 0 : 2);
}

int main(int argc, char** argv) {
  if (argc < 4) return 1;
  const long until = now_ms() + atol(argv[1]);
  const char *pid = argv[2], *cgroup = argv[3];
  char names[8][64], records[6][512];
  snprintf(names[0], sizeof *names, "a\noom-kill:\nb");
  snprintf(names[1], sizeof *names, ",task=x,pid=%s,", pid);
  snprintf(names[2], sizeof *names, "x[%s]: trap", pid);
  snprintf(names[3], sizeof *names, "caller=T%s", pid);
  snprintf(names[4], sizeof *names, "INFO: task x:%s", pid);
  snprintf(names[5], sizeof *names, "pid=%s comm=", pid);
  snprintf(names[6], sizeof *names, "(%s) [%s]", pid, pid);
  snprintf(names[7], sizeof *names, "Code: 90 90");
  snprintf(records[0], sizeof *records,
           "<2>oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
           "oom_memcg=%s,task_memcg=%s,task=x,pid=%s,uid=0",
           cgroup, cgroup, pid);
  snprintf(records[1], sizeof *records,
           "<3>Memory cgroup out of memory: Killed process %s (x) total-vm:1kB", pid);
  snprintf(records[2], sizeof *records, "<6>x[%s]: segfault at 8 ip 1 sp 2 error 6 in x[1+1]", pid);
  snprintf(records[3], sizeof *records, "<6>cgroup: fork rejected by pids controller in %s", cgroup);
  snprintf(records[4], sizeof *records, "6,1,1,-,caller=T%s;traps: x[%s] trap int3 ip:1 sp:2 error:0",
           pid, pid);
  snprintf(records[5], sizeof *records, "<6>x\n6,2,2,-,caller=T%s;x[%s]: segfault at 8", pid, pid);
  const int log = open("/dev/kmsg", O_WRONLY);
  unsigned long rounds = 0;
  for (; now_ms() < until; ++rounds) {
    const pid_t child = fork();
    if (child == 0) end(names[rounds % 8], rounds / 8 % 4);
    if (child > 0) waitpid(child, NULL, 0);
    const char* record = records[rounds % 6];
    size_t size = 0;
    while (record[size] != 0) ++size;
    // Beyond its rate they are passed over.
    if (log >= 0 && write(log, record, size) < 0) return 2;
  }
  printf("%lu\n", rounds);
  return 0;
}
