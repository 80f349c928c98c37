/* Hands over as many listeners as it is told to, each of a process of its own that waits for its call
 * to be answered when a line comes in, and says for each whether it was. listeners SOCKET COUNT */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  exit(1);
}

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

static void hand_over(const char *path, int fd) {
  char state[] = "{\"ociVersion\":\"1.0.2\",\"fds\":[\"seccompFd\"],\"pid\":1,\"state\":{}}";
  char control[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec part = {state, sizeof state - 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(head), &fd, sizeof fd);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int peer = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(peer, (struct sockaddr *)&address, sizeof address) != 0) fail(path);
  if (sendmsg(peer, &message, 0) < 0) fail("sendmsg");
  close(peer);
  close(fd);
}

/* A process with a listener; asks once `go` ends, and succeeds when it is told the limit. */
static void ask(const char *path, int go, int ready) {
  struct sysinfo info;
  char byte;
  hand_over(path, listener());
  if (write(ready, "", 1) != 1) _exit(1);
  close(ready);
  while (read(go, &byte, 1) > 0) continue;
  _exit(syscall(SYS_sysinfo, &info) == 0 ? 0 : 1);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const int count = atoi(argv[2]);
  int go[2], ready[2], answered = 0, status;
  char byte;
  if (pipe(go) != 0 || pipe(ready) != 0) fail("pipe");
  for (int i = 0; i < count; ++i) {
    if (fork() != 0) continue;
    close(go[1]);
    close(ready[0]);
    ask(argv[1], go[0], ready[1]);
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
