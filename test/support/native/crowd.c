// Tasks of all kinds until stdin ends: `crowd SLEEPING RUNNING BLOCKED`.
//
// SLEEPING threads sleep, RUNNING processes never stop, BLOCKED ones wait in vfork(2) for a child
// that sleeps, which is an uninterruptible wait. Prints "ready" once all of them are there; those that
// wait begin to do so right after.

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void *sleeps(void *unused) {
  for (;;) pause();
  return unused;
}

// The group is ended as a whole: a thread in vfork(2) cannot be told to end its child.
static void child_of_group(void) {
  if (fork() != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int born[2];
  if (pipe(born) != 0) return 1;
  setpgid(0, 0);
  const pid_t self = getpid();
  for (long i = atol(argv[2]); i > 0; --i) {
    child_of_group();
    if (getpid() == self) continue;
    // Out of the way of the test itself.
    setpriority(PRIO_PROCESS, 0, 19);
    for (volatile unsigned long n = 0;; ++n) {
    }
  }
  for (long i = atol(argv[3]); i > 0; --i) {
    child_of_group();
    if (getpid() == self) continue;
    if (vfork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (write(born[1], "", 1) != 1) _exit(1);
      for (;;) pause();
    }
    _exit(0);
  }
  char child;
  for (long i = atol(argv[3]); i > 0; --i) {
    if (read(born[0], &child, 1) != 1) return 1;
  }
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  for (long i = atol(argv[1]); i > 0; --i) {
    pthread_t thread;
    if (pthread_create(&thread, &small, sleeps, NULL) != 0) return 1;
  }
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) {
  }
  kill(0, SIGKILL);
  return 0;
}
