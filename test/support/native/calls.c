/* Makes system calls that an agent answers, and tells what it got; or is the least agent there is. */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void fail(const char *what) {
  perror(what);
  exit(1);
}

static int show(void) {
  struct sysinfo s;
  memset(&s, 0xa5, sizeof s);
  if (syscall(SYS_sysinfo, &s) != 0) fail("sysinfo");
  printf("{\"uptime\":%ld,\"loads\":[%lu,%lu,%lu],\"total\":%lu,\"free\":%lu,\"shared\":%lu,"
         "\"buffers\":%lu,\"swapTotal\":%lu,\"swapFree\":%lu,\"tasks\":%u,\"unit\":%u}\n",
         s.uptime, s.loads[0], s.loads[1], s.loads[2], s.totalram, s.freeram, s.sharedram,
         s.bufferram, s.totalswap, s.freeswap, s.procs, s.mem_unit);
  return 0;
}

struct sysinfo32 {
  int32_t uptime;
  uint32_t loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
  uint16_t procs, pad;
  uint32_t totalhigh, freehigh, mem_unit;
  char unused[8];
};

#ifdef __x86_64__
/* Memory that a program of 32 bits can name. */
static struct sysinfo32 *room32(void) {
  void *room = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
                    -1, 0);
  if (room == MAP_FAILED) fail("mmap");
  return room;
}

/* As a program of 32 bits calls: by the gate that only those use. */
static long sysinfo32(struct sysinfo32 *s) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(116L), "b"(s)
                   : "r8", "r9", "r10", "r11", "memory");
  return result;
}

/* The same of sched_getaffinity(2). */
static long getaffinity32(unsigned bytes, void *mask) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(242L), "b"(0L), "c"((long)bytes), "d"(mask)
                   : "r8", "r9", "r10", "r11", "memory");
  return (int)result;
}
#endif

static int show32(void) {
#ifdef __x86_64__
  struct sysinfo32 *s = room32();
  memset(s, 0xa5, 2 * sizeof *s);
  const long result = sysinfo32(s);
  if (result != 0) {
    fprintf(stderr, "sysinfo: %ld\n", result);
    return 1;
  }
  if (((unsigned char *)s)[sizeof *s] != 0xa5) return 1;
  printf("{\"uptime\":%d,\"loads\":[%u,%u,%u],\"total\":%u,\"free\":%u,\"shared\":%u,"
         "\"buffers\":%u,\"swapTotal\":%u,\"swapFree\":%u,\"tasks\":%u,\"unit\":%u}\n",
         s->uptime, s->loads[0], s->loads[1], s->loads[2], s->totalram, s->freeram, s->sharedram,
         s->bufferram, s->totalswap, s->freeswap, s->procs, s->mem_unit);
  return 0;
#else
  return 1;
#endif
}

/* Calls of 64 and of 32 bits in turn: prints how long one takes on average, in microseconds. */
static int mixed(int rounds) {
#ifdef __x86_64__
  struct sysinfo32 *s32 = room32();
  struct sysinfo s;
  const double begin = now();
  for (int i = 0; i < rounds; i++) {
    if (syscall(SYS_sysinfo, &s) != 0 || sysinfo32(s32) != 0) fail("sysinfo");
  }
  printf("%.1f\n", (now() - begin) * 1e6 / rounds / 2);
  return 0;
#else
  return rounds;
#endif
}

static int fault(void) {
  char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || munmap(page + 4096, 4096) != 0) fail("mmap");
  void *bad[] = {(void *)8, (void *)-1, page + 4096, page + 4096 - 16, (void *)(1UL << 63)};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    errno = 0;
    const long result = syscall(SYS_sysinfo, bad[i]);
    printf("%ld %s\n", result, strerrorname_np(errno));
  }
  return 0;
}

/* How many took how long, in tenths of a microsecond; the last one has all that took longer. */
enum { BUCKETS = 100000 };
static unsigned long took_tenths[BUCKETS];

static double percentile(unsigned long calls, unsigned percent) {
  unsigned long below = 0;
  int at = 0;
  while (at < BUCKETS - 1 && (below += took_tenths[at]) * 100 < calls * percent) at++;
  return at / 10.0;
}

/* Calls until the file is there or so many were made; every answer has to have this total. */
static int watch(unsigned long total, const char *until, unsigned long most) {
  unsigned long calls = 0, wrong = 0;
  double longest = 0;
  const double begin = now();
  while (calls < most && (until[0] == '\0' || (calls & 15) != 0 || access(until, F_OK) != 0)) {
    struct sysinfo s;
    memset(&s, 0, sizeof s);
    const double from = now();
    const long result = syscall(SYS_sysinfo, &s);
    const double took = now() - from;
    if (took > longest) longest = took;
    const double tenths = took * 1e7;
    took_tenths[tenths < BUCKETS ? (int)tenths : BUCKETS - 1]++;
    if ((result != 0 || s.totalram != total || s.freeram > total) && wrong++ == 0) {
      fprintf(stderr, "wrong: %ld %s total %lu\n", result, result ? strerror(errno) : "",
              s.totalram);
    }
    calls++;
  }
  printf("{\"calls\":%lu,\"wrong\":%lu,\"longestUs\":%.1f,\"meanUs\":%.3f,"
         "\"p50Us\":%.1f,\"p99Us\":%.1f}\n",
         calls, wrong, longest * 1e6, (now() - begin) * 1e6 / (double)(calls == 0 ? 1 : calls),
         percentile(calls, 50), percentile(calls, 99));
  return wrong == 0 ? 0 : 1;
}

/* Children that call as fast as they can and are killed in the middle of it. */
static int doomed(int rounds) {
  for (int i = 0; i < rounds; i++) {
    const pid_t child = fork();
    if (child == 0) {
      struct sysinfo s;
      for (;;) syscall(SYS_sysinfo, &s);
    }
    struct timespec t = {0, (i % 40) * 25000L};
    nanosleep(&t, NULL);
    kill(child, SIGKILL);
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) return 1;
  }
  puts("killed");
  return 0;
}

static void print_set(long size, const cpu_set_t *set) {
  printf("%ld", size);
  for (int i = 0; size > 0 && i < CPU_SETSIZE; i++) {
    if (CPU_ISSET(i, set)) printf(" %d", i);
  }
  puts("");
}

static int affinity(int of_itself) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const pid_t who = of_itself ? (pid_t)syscall(SYS_gettid) : 0;
  const long size = syscall(SYS_sched_getaffinity, who, sizeof set, &set);
  if (size < 0) fail("sched_getaffinity");
  print_set(size, &set);
  printf("%ld\n", syscall(SYS_sched_getaffinity, 0, 3, &set) < 0 ? (long)errno : 0);
  return 0;
}

/* With room for so many bytes. */
static int affinity32(int bytes) {
#ifdef __x86_64__
  cpu_set_t *set = (void *)room32();
  const long size = getaffinity32((unsigned)bytes, set);
  print_set(size, set);
  return 0;
#else
  return bytes;
#endif
}

/* A call that no agent of ours answers: 20 less the nice value. */
static int other(void) {
  const long result = syscall(SYS_getpriority, 0, 0);
  if (result < 0) fail("getpriority");
  printf("%ld\n", result);
  return 0;
}

static _Noreturn void answer_with_nothing(int peer) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  char text[65536], control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {text, sizeof text};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(peer, &message, 0) <= 0 || CMSG_FIRSTHDR(&message) == NULL) fail("recvmsg");
  int fd = -1;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  close(peer);
  ioctl(fd, SECCOMP_IOW(4, uint64_t), 1UL); /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, Linux 6.6 */
  for (;;) {
    struct seccomp_notif n;
    struct seccomp_notif_resp r;
    memset(&n, 0, sizeof n);
    memset(&r, 0, sizeof r);
    if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n) != 0) {
      if (errno == EINTR || errno == ENOENT) continue;
      exit(0);
    }
    r.id = n.id;
    ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r);
  }
}

/* Answers every call with nothing: what a round trip costs at least. Wakes as vprocfs does. */
static _Noreturn void least_agent(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 8) != 0)
    fail(path);
  puts("ready");
  fflush(stdout);
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    const int peer = accept(listener, NULL, NULL);
    if (peer < 0) fail("accept");
    /* Runtimes hand over a descriptor for each process that they execute. */
    if (fork() == 0) answer_with_nothing(peer);
    close(peer);
  }
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "show") == 0) return show();
  if (strcmp(what, "show32") == 0) return show32();
  if (strcmp(what, "fault") == 0) return fault();
  if (strcmp(what, "other") == 0) return other();
  if (strcmp(what, "affinity") == 0) return affinity(argc > 2);
  if (strcmp(what, "affinity32") == 0 && argc > 2) return affinity32(atoi(argv[2]));
  if (strcmp(what, "doomed") == 0 && argc > 2) return doomed(atoi(argv[2]));
  if (strcmp(what, "mixed") == 0 && argc > 2) return mixed(atoi(argv[2]));
  if (strcmp(what, "agent") == 0 && argc > 2) least_agent(argv[2]);
  if (strcmp(what, "watch") == 0 && argc > 4)
    return watch(strtoul(argv[2], NULL, 10), argv[3], strtoul(argv[4], NULL, 10));
  fprintf(stderr, "usage: calls show|show32|fault|other|affinity [self]|affinity32 BYTES|"
                  "doomed ROUNDS|mixed ROUNDS|agent SOCKET|watch TOTAL UNTIL MOST\n");
  return 2;
}
