// Runs a program as if the kernel were Linux 5.3:
//
//   older PROGRAM [ARGUMENT]...
//
// System calls that came later answer ENOSYS, and flags that came later EINVAL. Of setns(2) and
// statx(2) the answer depends on what their descriptor is of: a process of its own answers those,
// and ends with the last process that has the filter.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define LAST_OF_5_3 435          // clone3(2), on all architectures
#define MOUNT_ID 0x1000u         // STATX_MNT_ID, 5.8
#define MOVE_FLAGS 0x77u         // of move_mount(2) in 5.3: not MOVE_MOUNT_BENEATH
#define TGID_FROM_PIDNS 0xb707u  // NS_GET_TGID_FROM_PIDNS, 6.11: type and number
#define BY_PIDFD 3               // P_PIDFD, 5.4

static void fail(const char* what) {
  perror(what);
  exit(2);
}

#define NUMBER offsetof(struct seccomp_data, nr)
// The lower half: little-endian, as all that the tests run on.
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (n))
#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define ERROR(code) RETURN(SECCOMP_RET_ERRNO | (code))
#define CALL(number, others) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, (others))
#define HAS(bits) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), 0, 1)
#define IS(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)
#define ALLOW RETURN(SECCOMP_RET_ALLOW)

static int listener(void) {
  struct sock_filter code[] = {
      LOAD(NUMBER),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_OF_5_3, 0, 1),
      ERROR(ENOSYS),
      CALL(SYS_setns, 1),
      RETURN(SECCOMP_RET_USER_NOTIF),
      CALL(SYS_statx, 4),
      LOAD(ARGUMENT(3)),
      HAS(MOUNT_ID),
      RETURN(SECCOMP_RET_USER_NOTIF),
      ALLOW,
      CALL(SYS_move_mount, 4),
      LOAD(ARGUMENT(4)),
      HAS(~MOVE_FLAGS),
      ERROR(EINVAL),
      ALLOW,
      CALL(SYS_pidfd_open, 4),
      LOAD(ARGUMENT(1)),
      HAS(~0u),
      ERROR(EINVAL),
      ALLOW,
      CALL(SYS_waitid, 4),
      LOAD(ARGUMENT(0)),
      IS(BY_PIDFD),
      ERROR(EINVAL),
      ALLOW,
      CALL(SYS_ioctl, 4),
      LOAD(ARGUMENT(1)),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff),
      IS(TGID_FROM_PIDNS),
      ERROR(ENOTTY),
      ALLOW,
  };
  const struct sock_fprog program = {sizeof code / sizeof *code, code};
  const long fd =
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (fd < 0) fail("seccomp");
  return (int)fd;
}

/* Sends a descriptor, or receives one if `fd` is -1. */
static int pass(int socket, int fd) {
  char byte = 0;
  char control[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
  message.msg_controllen = sizeof control;
  if (fd < 0) {
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) exit(2);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
  }
  struct cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(head), &fd, sizeof fd);
  if (sendmsg(socket, &message, 0) != 1) fail("sendmsg");
  return fd;
}

/* The link to a descriptor of a thread. */
static void link_to(char* link, size_t size, __u32 thread, __u64 fd) {
  snprintf(link, size, "/proc/%u/fd/%d", thread, (int)fd);
}

/* 0: the kernel is to answer. */
static int is_pidfd(const struct seccomp_notif* call) {
  char link[64], to[64] = "";
  link_to(link, sizeof link, call->pid, call->data.args[0]);
  if (readlink(link, to, sizeof to - 1) < 0) return 0;
  return strstr(to, "pidfd") != NULL;
}

/* Answers statx(2) of a descriptor without its mount. 0: the kernel is to answer. */
static int answer_statx(const struct seccomp_notif* call, int* error) {
  char link[64], first = 1;
  const __u64* const args = call->data.args;
  struct iovec here = {&first, 1}, there = {(void*)(uintptr_t)args[1], 1};
  if (process_vm_readv((pid_t)call->pid, &here, 1, &there, 1, 0) != 1 || first != 0) return 0;
  link_to(link, sizeof link, call->pid, args[0]);
  const int fd = open(link, O_PATH | O_CLOEXEC);
  if (fd < 0) return 0;
  struct statx found = {0};
  *error = statx(fd, "", (int)args[2], (unsigned)args[3] & ~MOUNT_ID, &found) == 0 ? 0 : errno;
  close(fd);
  found.stx_mask &= ~MOUNT_ID;
  // Right after stx_dev_minor; older headers have no name for it.
  memset((char*)&found + offsetof(struct statx, stx_dev_minor) + sizeof found.stx_dev_minor, 0, 8);
  here = (struct iovec){&found, sizeof found};
  there = (struct iovec){(void*)(uintptr_t)args[4], sizeof found};
  if (*error == 0 && process_vm_writev((pid_t)call->pid, &here, 1, &there, 1, 0) < 0) {
    *error = EFAULT;
  }
  return 1;
}

static void answer(int fd) {
  // The kernel wants room that is all zeros, and may have larger structures than our headers.
  static union {
    struct seccomp_notif call;
    char room[512];
  } in;
  static union {
    struct seccomp_notif_resp response;
    char room[512];
  } out;
  memset(&in, 0, sizeof in);
  memset(&out, 0, sizeof out);
  if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &in) != 0) return;
  int error = EINVAL;
  const int answers =
      in.call.data.nr == SYS_setns ? is_pidfd(&in.call) : answer_statx(&in.call, &error);
  out.response.id = in.call.id;
  if (answers) {
    out.response.error = -error;
  } else {
    out.response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  }
  ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &out);
}

static void serve(int socket, char** argv) {
  setsid();
  // Nobody is to take it for the program.
  for (; *argv != NULL; ++argv) memset(*argv, 0, strlen(*argv));
  for (int fd = 0; fd < 3; ++fd) close(fd);
  struct pollfd p = {pass(socket, -1), POLLIN, 0};
  close(socket);
  while (poll(&p, 1, -1) >= 0 || errno == EINTR) {
    if ((p.revents & POLLIN) != 0) answer(p.fd);
    if ((p.revents & (POLLHUP | POLLERR)) != 0) return;
  }
}

int main(int argc, char** argv) {
  int ends[2];
  if (argc < 2) return 2;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) fail("socketpair");
  // Not a child of the program's, which may wait for all of its children.
  const pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    if (fork() != 0) _exit(0);
    close(ends[1]);
    serve(ends[0], argv);
    _exit(0);
  }
  syscall(SYS_wait4, child, NULL, 0, NULL);
  close(ends[0]);
  const int fd = pass(ends[1], listener());
  close(fd);
  execvp(argv[1], argv + 1);
  return perror(argv[1]), 127;
}
