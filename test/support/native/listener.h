/* A filter that hands sysinfo(2) over, and its listener given to a daemon as an OCI runtime does it. */

#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "fail.h"

static int listener(void) {
  struct sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sysinfo, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {4, steps};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const long fd =
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (fd < 0) fail("seccomp");
  return (int)fd;
}

static int reach(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int peer = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(peer, (struct sockaddr *)&address, sizeof address) != 0) fail(path);
  return peer;
}

#define STATE "{\"ociVersion\":\"1.0.2\",\"fds\":[\"seccompFd\"],\"pid\":1,\"state\":{}}"

/* In a message of its own, with `fd` unless that is -1. */
static void say(int peer, const char *what, int fd) {
  char text[sizeof STATE];
  char control[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec part = {text, strlen(what)};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  memcpy(text, what, part.iov_len);
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
  }
  if (sendmsg(peer, &message, MSG_NOSIGNAL) < 0) fail("sendmsg");
}

/* Closes both. */
static inline void hand_over(int peer, int fd) {
  say(peer, STATE, fd);
  close(peer);
  close(fd);
}
