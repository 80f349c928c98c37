/* Hands over as many listeners as it is told to, each of a process of its own that waits for its call
 * to be answered when a line comes in, and says how many were. With CALLS each process calls once
 * before, and so often then. listeners SOCKET COUNT [CALLS] */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "listener.h"

/* A process with a listener; asks once `go` ends, and succeeds when it is told the limit. */
static void ask(const char *path, int calls, int go, int ready) {
  struct sysinfo info;
  char byte;
  hand_over(reach(path), listener());
  if (calls > 0) syscall(SYS_sysinfo, &info);
  if (write(ready, "", 1) != 1) _exit(1);
  close(ready);
  while (read(go, &byte, 1) > 0) continue;
  for (int i = 1; i < calls; ++i) syscall(SYS_sysinfo, &info);
  _exit(syscall(SYS_sysinfo, &info) == 0 ? 0 : 1);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const int count = atoi(argv[2]), calls = argc > 3 ? atoi(argv[3]) : 0;
  int go[2], ready[2], answered = 0, status;
  char byte;
  if (pipe(go) != 0 || pipe(ready) != 0) fail("pipe");
  for (int i = 0; i < count; ++i) {
    if (fork() != 0) continue;
    close(go[1]);
    close(ready[0]);
    ask(argv[1], calls, go[0], ready[1]);
  }
  close(ready[1]);
  while (read(ready[0], &byte, 1) > 0) continue;
  puts("ready");
  fflush(stdout);
  if (read(STDIN_FILENO, &byte, 1) < 0) fail("stdin");
  close(go[1]);
  while (wait(&status) > 0) answered += WIFEXITED(status) && WEXITSTATUS(status) == 0;
  printf("%d\n", answered);
  return 0;
}
