// Preloaded into a program: whoever opens /dev/kmsg to read it without waiting gets the error that
// VPROCFS_TEST_KMSG names, EPERM or ENOENT. "bad": it opens, and whatever a log can do wrong comes
// before each read that gives a record. VPROCFS_TEST_CONNECTOR: there is no process connector.
// VPROCFS_TEST_REFUSED: system calls named there, bpf and perf_event_open, fail with EPERM.
// VPROCFS_TEST_SHORT: as long as that file is there, no descriptor is to be had for the process
// connector, nor from perf_event_open. VPROCFS_TEST_UNANSWERED: as long as that file is there,
// nothing comes from the process connector.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bad_log = -1;

/* Whether the file that a variable names is there. */
static int is_there(const char* variable) {
  const char* const path = getenv(variable);
  return path != NULL && access(path, F_OK) == 0;
}

static int is_short(void) { return is_there("VPROCFS_TEST_SHORT"); }

static int is_refused(long number) {
  const char* const refused = getenv("VPROCFS_TEST_REFUSED");
  if (refused == NULL) return 0;
  return (number == SYS_bpf && strstr(refused, "bpf") != NULL) ||
         (number == SYS_perf_event_open && strstr(refused, "perf_event_open") != NULL);
}

long syscall(long number, ...) {
  static long (*next)(long, ...);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "syscall");
  va_list rest;
  va_start(rest, number);
  long a[6];
  for (int i = 0; i < 6; ++i) a[i] = va_arg(rest, long);
  va_end(rest);
  const int lacks = number == SYS_perf_event_open && is_short();
  if (lacks || is_refused(number)) {
    errno = lacks ? EMFILE : EPERM;
    return -1;
  }
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// NULL stands for EPIPE: records were overwritten.
static const char* const BAD[] = {
    NULL,
    "4,1",
    "4,1,2,-;cut off",
    "<4>of another log\n",
    "4,1,2,c;Memory cgroup out of memory: Killed process 1 (goes on)\n",
    "4,1,2,-;\\x0\\xzz\\x\n",
    "\xff\xfe,,;\n",
    NULL,
};

ssize_t read(int fd, void* buffer, size_t size) {
  static _Thread_local size_t next;
  const size_t count = sizeof BAD / sizeof *BAD;
  if (fd != bad_log || bad_log < 0 || next++ % (count + 1) == count) {
    return syscall(SYS_read, fd, buffer, size);
  }
  const char* const bad = BAD[(next - 1) % (count + 1)];
  if (bad == NULL) {
    errno = EPIPE;
    return -1;
  }
  const size_t length = strlen(bad);
  memcpy(buffer, bad, length < size ? length : size);
  return (ssize_t)length;
}

int socket(int domain, int type, int protocol) {
  const int is_connector = domain == AF_NETLINK && protocol == NETLINK_CONNECTOR;
  const int lacks = is_connector && is_short();
  if (lacks || (is_connector && getenv("VPROCFS_TEST_CONNECTOR") != NULL)) {
    errno = lacks ? EMFILE : EPROTONOSUPPORT;
    return -1;
  }
  return (int)syscall(SYS_socket, domain, type, protocol);
}

ssize_t recvfrom(int fd, void* buffer, size_t size, int flags, struct sockaddr* from,
                 socklen_t* from_size) {
  if (from != NULL && *from_size == sizeof(struct sockaddr_nl) &&
      is_there("VPROCFS_TEST_UNANSWERED")) {
    errno = EAGAIN;
    return -1;
  }
  return syscall(SYS_recvfrom, fd, buffer, size, flags, from, from_size);
}

static int opened(const char* path, int flags, mode_t mode) {
  const char* const error = getenv("VPROCFS_TEST_KMSG");
  const int reads = (flags & O_ACCMODE) == O_RDONLY && (flags & O_NONBLOCK) != 0;
  if (error != NULL && reads && strcmp(path, "/dev/kmsg") == 0) {
    if (strcmp(error, "bad") == 0) {
      return bad_log = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    }
    errno = strcmp(error, "ENOENT") == 0 ? ENOENT : EPERM;
    return -1;
  }
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest) {
  return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return opened(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return opened(path, flags | O_LARGEFILE, mode);
}
