// Calls syslog(2): `syslog call ACTION BYTES` and shows what it got, `refused` with arguments that
// the kernel refuses, `call32 ACTION BYTES` as a program of 32 bits, `follow` to read destructively
// for ever, `alarms N` to be interrupted that often while it waits, `waiters N` to have so many
// children wait, `flood UNTIL` to read all until that file is there.

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_BYTES = 1 << 20 };

static long ask(int action, char* buffer, int bytes) {
  errno = 0;
  return syscall(SYS_syslog, action, buffer, bytes);
}

static const char* name(void) { return errno == 0 ? "-" : strerrorname_np(errno); }

/* "RESULT ERRNO" and the text; what is after the text has to be as it was. */
static int call(int action, int bytes) {
  static char buffer[MAX_BYTES];
  memset(buffer, 0x5a, sizeof buffer);
  const long result = ask(action, buffer, bytes);
  printf("%ld %s\n", result, name());
  const int filled = action >= 2 && action <= 4 && result > 0;
  const size_t used = filled ? (size_t)result : 0;
  if (used > sizeof buffer) return 1;
  fwrite(buffer, 1, used, stdout);
  for (size_t i = used; i < sizeof buffer; i++) {
    if (buffer[i] != 0x5a) return 1;
  }
  return 0;
}

static int call32(int action, int bytes) {
#ifdef __x86_64__
  char* buffer =
      mmap(NULL, MAX_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (buffer == MAP_FAILED) return 1;
  long result;
  /* What stands above the 32 bits does not count. */
  const uint64_t above = UINT64_C(0xdead) << 32;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(103L), "b"(above | (unsigned)action), "c"(above | (uintptr_t)buffer),
                     "d"(above | (unsigned)bytes)
                   : "r8", "r9", "r10", "r11", "memory");
  result = (int)result;
  printf("%ld\n", result);
  if (action >= 2 && action <= 4 && result > 0) fwrite(buffer, 1, (size_t)result, stdout);
  return 0;
#else
  return action + bytes < 0;
#endif
}

static void refused(const char* what, int action, char* buffer, int bytes) {
  const long result = ask(action, buffer, bytes);
  printf("%d %s: %ld %s\n", action, what, result, name());
}

static int all_refused(void) {
  static char buffer[65536];
  char* page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || munmap(page + 4096, 4096) != 0) return 1;
  for (int action = 3; action <= 4; action++) {
    refused("none", action, NULL, 100);
    refused("negative", action, buffer, -1);
    refused("empty", action, buffer, 0);
    refused("nowhere", action, (char*)8, 65536);
    refused("beyond", action, (char*)(1UL << 63), 65536);
    refused("end", action, page + 4096 - 16, 65536);
  }
  refused("none", 2, NULL, 100);
  refused("negative", 2, buffer, -1);
  refused("empty", 2, buffer, 0);
  refused("level 0", 8, NULL, 0);
  refused("level 9", 8, NULL, 9);
  refused("unknown", 11, buffer, 100);
  refused("unknown", -1, buffer, 100);
  return 0;
}

static int follow(void) {
  static char buffer[8192];
  for (;;) {
    const long n = ask(2, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) printf("%s\n", name());
    if (n > 0) fwrite(buffer, 1, (size_t)n, stdout);
    fflush(stdout);
    if (n < 0) return 1;
  }
}

static void on_alarm(int signal) { (void)signal; }

/* Read what is there, then wait and be interrupted. */
static int alarms(int times) {
  static char buffer[65536];
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  while (ask(9, NULL, 0) > 0) ask(2, buffer, sizeof buffer);
  for (int i = 0; i < times; i++) {
    const struct itimerval soon = {.it_value = {0, 20000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    const long n = ask(2, buffer, sizeof buffer);
    if (n != -1 || errno != EINTR) {
      printf("%ld %s\n", n, name());
      return 1;
    }
  }
  puts("interrupted");
  return 0;
}

static int waiters(int count) {
  static char buffer[8192];
  for (int i = 0; i < count; i++) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
      const long n = ask(2, buffer, sizeof buffer);
      if (n >= 0 || errno == EINTR) continue;
      printf("%s\n", name());
      return 0;
    }
  }
  for (;;) pause();
}

static int flood(const char* until) {
  static char buffer[65536];
  unsigned long calls = 0, failed = 0;
  puts("floods");
  fflush(stdout);
  for (; access(until, F_OK) != 0; calls++) failed += ask(3, buffer, sizeof buffer) < 0;
  printf("%lu %lu\n", calls, failed);
  return 0;
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "call") == 0 && argc > 3) return call(atoi(argv[2]), atoi(argv[3]));
  if (strcmp(what, "call32") == 0 && argc > 3) return call32(atoi(argv[2]), atoi(argv[3]));
  if (strcmp(what, "refused") == 0) return all_refused();
  if (strcmp(what, "follow") == 0) return follow();
  if (strcmp(what, "alarms") == 0 && argc > 2) return alarms(atoi(argv[2]));
  if (strcmp(what, "waiters") == 0 && argc > 2) return waiters(atoi(argv[2]));
  if (strcmp(what, "flood") == 0 && argc > 2) return flood(argv[2]);
  fprintf(stderr,
          "usage: syslog call|call32 ACTION BYTES | refused | follow | alarms TIMES | "
          "waiters COUNT | flood UNTIL\n");
  return 2;
}
