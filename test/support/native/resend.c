// Makes the kernel resend the requests that a process has taken from /dev/fuse and not answered.
//
//   resend PID
//
// Prints how many of its descriptors are FUSE connections.

#define _GNU_SOURCE
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// <linux/fuse.h> of many distributions is older than this (6.9).
enum { NOTIFY_RESEND = 7 };

struct Notice {
  uint32_t length;
  int32_t code;
  uint64_t unique;
};

static int resend(int pidfd, int number) {
  const int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
  const struct Notice notice = {sizeof(notice), NOTIFY_RESEND, 0};
  return fd >= 0 && write(fd, &notice, sizeof(notice)) == sizeof(notice);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  char path[64], target[64];
  snprintf(path, sizeof(path), "/proc/%ld/fd", atol(argv[1]));
  const int pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0);
  DIR *directory = opendir(path);
  if (pidfd < 0 || directory == NULL) return 1;
  int count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    const ssize_t n = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
    if (n <= 0) continue;
    target[n] = '\0';
    if (strcmp(target, "/dev/fuse") == 0) count += resend(pidfd, atoi(entry->d_name));
  }
  printf("%d\n", count);
  return count > 0 ? 0 : 1;
}
