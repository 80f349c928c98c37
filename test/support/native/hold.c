// Holds what it gets of a file in ways that few programs use.
//
//   hold WHAT COUNT FILE
//
// WHAT: "rights" (open files on their way through sockets that nobody reads), "ring" (reads, polls and
// files of an io_uring), "pipes" (splice, tee, vmsplice and sendfile into pipes that nobody reads), "maps",
// "locks" (flock, locks of ranges and leases), "watches" (inotify, and fanotify that permits nothing on a
// mount of its own), "stopped" (readers that stop between open and read), "inits" (PID namespaces whose
// init is dead and not reaped) and "readers" (processes that wait at the end of a kernel log, each of which
// prints "read" or "refused" on a line of its own when its read ends). Prints "ready DONE REFUSED" after the
// first COUNT of them, goes on with what can be repeated, and runs until it is killed. Exits with 3 where
// the kernel does not have it.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "hold.h"

static void rest(void) {
  for (;;) pause();
}

// What is passed and not received is nobody's, as far as limits of open files go.
static void pass(int fd, int through) {
  char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof(control)};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof(int));
  tally(sendmsg(through, &message, MSG_DONTWAIT) == 1);
}

static void rights(void) {
  int ends[2] = {-1, -1};
  for (long n = 0;; ++n) {
    if (n % 64 == 0 && n < count) socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends);
    const int fd = open_it();
    if (fd < 0) {
      ++refused;
    } else {
      if (n < count) pass(fd, ends[0]);
      close(fd);
    }
    if (n == count) began();
  }
}

struct Ring {
  int fd;
  unsigned *tail, *mask, *array;
  unsigned *done_head, *done_tail;
  struct io_uring_sqe *entries;
};

static int set_up(struct Ring *ring, unsigned entries) {
  struct io_uring_params p;
  memset(&p, 0, sizeof(p));
  ring->fd = (int)syscall(SYS_io_uring_setup, entries, &p);
  if (ring->fd < 0) return 0;
  const size_t asked = p.sq_off.array + p.sq_entries * sizeof(unsigned);
  const size_t answered = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
  const int both = PROT_READ | PROT_WRITE;
  char *in = mmap(NULL, asked, both, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
  char *out = mmap(NULL, answered, both, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
  ring->entries = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), both, MAP_SHARED, ring->fd,
                       IORING_OFF_SQES);
  if (in == MAP_FAILED || out == MAP_FAILED || ring->entries == MAP_FAILED) return 0;
  ring->tail = (unsigned *)(in + p.sq_off.tail);
  ring->mask = (unsigned *)(in + p.sq_off.ring_mask);
  ring->array = (unsigned *)(in + p.sq_off.array);
  ring->done_head = (unsigned *)(out + p.cq_off.head);
  ring->done_tail = (unsigned *)(out + p.cq_off.tail);
  return 1;
}

static void ask(struct Ring *ring, struct io_uring_sqe entry) {
  const unsigned at = *ring->tail & *ring->mask;
  ring->entries[at] = entry;
  ring->array[at] = at;
  __atomic_store_n(ring->tail, *ring->tail + 1, __ATOMIC_RELEASE);
}

static void rings(void) {
  static char text[TEXT];
  struct Ring ring;
  const unsigned entries = 128;
  if (!set_up(&ring, entries)) _exit(NOT_HERE);
  // The ring holds them when they are closed here.
  int *held = calloc((size_t)count, sizeof(int));
  for (long n = 0; n < count; ++n) tally((held[n] = open_it()) >= 0);
  syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, held, (unsigned)count);
  for (long n = 0; n < count; ++n) close(held[n]);
  began();
  const int fd = open_it();
  for (;;) {
    for (unsigned i = 0; i < entries; ++i) {
      struct io_uring_sqe entry;
      memset(&entry, 0, sizeof(entry));
      entry.opcode = i % 2 == 0 ? IORING_OP_READ : IORING_OP_POLL_ADD;
      entry.fd = fd;
      entry.flags = IOSQE_ASYNC;
      entry.addr = i % 2 == 0 ? (unsigned long)text : 0;
      entry.len = i % 2 == 0 ? sizeof(text) : 0;
      entry.poll32_events = i % 2 == 0 ? 0 : POLLIN | POLLPRI;
      ask(&ring, entry);
    }
    syscall(SYS_io_uring_enter, ring.fd, entries, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    const unsigned tail = __atomic_load_n(ring.done_tail, __ATOMIC_ACQUIRE);
    __atomic_store_n(ring.done_head, tail, __ATOMIC_RELEASE);
  }
}

static void pipes(void) {
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC), fd = open_it();
  int last[2] = {-1, -1};
  for (long n = 0; n < count; ++n) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) break;
    off_t at = 0;
    tally(splice(fd, &at, ends[1], NULL, TEXT, SPLICE_F_NONBLOCK | SPLICE_F_MOVE) > 0);
    if (last[0] >= 0) tee(last[0], ends[1], TEXT, SPLICE_F_NONBLOCK);
    memcpy(last, ends, sizeof(last));
  }
  began();
  static char text[TEXT];
  for (;;) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) continue;
    off_t at = 0;
    sendfile(null, fd, &at, TEXT);
    at = 0;
    splice(fd, &at, ends[1], NULL, TEXT, SPLICE_F_NONBLOCK);
    const struct iovec part = {text, sizeof(text)};
    vmsplice(ends[1], &part, 1, SPLICE_F_NONBLOCK);
    close(ends[0]);
    close(ends[1]);
  }
}

static void maps(void) {
  char *last = MAP_FAILED;
  for (long n = 0;; ++n) {
    const int fd = open_it();
    const int kind = n % 2 == 0 ? MAP_SHARED : MAP_PRIVATE;
    char *at = mmap(NULL, TEXT, PROT_READ, kind | MAP_POPULATE, fd, 0);
    if (n < count) tally(at != MAP_FAILED);
    if (at != MAP_FAILED) {
      mlock(at, 4096);
      msync(at, TEXT, MS_SYNC | MS_INVALIDATE);
      madvise(at, TEXT, MADV_DONTNEED);
      madvise(at, TEXT, MADV_WILLNEED);
    }
    if (n == count) began();
    close(fd);
    if (n >= count && at != MAP_FAILED) munmap(at, TEXT);
    if (n >= count && last != MAP_FAILED) madvise(last, TEXT, MADV_DONTNEED);
    if (n < count) last = at;
  }
}

static void *lock(void *unused) {
  const int fd = open(file, O_RDWR | O_CLOEXEC), other = open_it();
  for (unsigned n = 0;; ++n) {
    flock(other, LOCK_EX);
    struct flock range = {.l_type = F_WRLCK, .l_start = n % 1000, .l_len = 1};
    fcntl(fd, n % 2 == 0 ? F_OFD_SETLKW : F_SETLK, &range);
    fcntl(other, F_SETLEASE, n % 3 == 0 ? F_UNLCK : F_RDLCK);
    flock(other, n % 8 == 0 ? LOCK_UN : LOCK_SH);
  }
  return unused;
}

static void locks(void) {
  pthread_t thread;
  for (long n = 0; n < count; ++n) tally(pthread_create(&thread, NULL, lock, NULL) == 0);
  began();
  rest();
}

/// On a mount of its own: those that open the file there wait for an answer that does not come.
static void permit_nothing(void) {
  if (child() != 0) return;
  const int notices = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
  const uint64_t mask = FAN_OPEN_PERM | FAN_ACCESS_PERM;
  if (notices < 0 || unshare(CLONE_NEWNS) != 0 ||
      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount(file, file, NULL, MS_BIND, NULL) != 0 ||
      fanotify_mark(notices, FAN_MARK_ADD | FAN_MARK_MOUNT, mask, AT_FDCWD, file) != 0) {
    rest();
  }
  for (int i = 0; i < 8; ++i) {
    if (child() == 0) {
      read_all(open_it());
      rest();
    }
  }
  rest();
}

static void watches(void) {
  permit_nothing();
  const int notices = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  for (long n = 0;; ++n) {
    const int more = n < count ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
    const int own = more >= 0 ? more : notices;
    const int watch = inotify_add_watch(own, file, IN_ALL_EVENTS);
    if (n < count) tally(watch >= 0);
    if (n == count) began();
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) close(fd);
    if (own == notices) inotify_rm_watch(notices, watch);
  }
}

static void stopped(void) {
  for (long n = 0; n < count; ++n) {
    const pid_t pid = child();
    if (pid == 0) {
      const int fd = open_it();
      if (fd < 0) _exit(1);
      raise(SIGSTOP);
      read_all(fd);
      rest();
    }
    int status = 0;
    waitpid(pid, &status, WUNTRACED);
    tally(WIFSTOPPED(status));
  }
  began();
  rest();
}

static void inits(void) {
  for (long n = 0; n < count; ++n) {
    const int flags = CLONE_NEWPID | CLONE_FILES | SIGCHLD;
    const pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
    if (pid == 0) {
      const int fd = open_it();
      if (fd < 0) _exit(1);
      read_all(fd);
      _exit(0);
    }
    siginfo_t how;
    tally(pid > 0 && waitid(P_PID, (id_t)pid, &how, WEXITED | WNOWAIT) == 0 && how.si_status == 0);
  }
  began();
  rest();
}

static void readers(void) {
  // Each reader closes it when it is at the end, so that it reads what is written from then on.
  int sought[2];
  if (pipe2(sought, O_CLOEXEC) != 0) _exit(1);
  for (long n = 0; n < count; ++n) {
    const pid_t pid = child();
    if (pid == 0) {
      char record[8192];
      const int fd = open_it();
      if (fd < 0 || lseek(fd, 0, SEEK_END) < 0) _exit(1);
      close(sought[1]);
      const ssize_t got = read(fd, record, sizeof(record));
      const char *told = got > 0 ? "read\n" : errno == ENOMEM ? "refused\n" : "failed\n";
      if (write(STDOUT_FILENO, told, strlen(told)) < 0) _exit(1);
      rest();
    }
    tally(pid > 0);
  }
  close(sought[1]);
  char none;
  while (read(sought[0], &none, 1) < 0 && errno == EINTR) continue;
  began();
  rest();
}

static const struct Act ACTS[] = {
    {"rights", rights}, {"ring", rings},       {"pipes", pipes},     {"maps", maps},  {"locks", locks},
    {"watches", watches}, {"stopped", stopped}, {"inits", inits}, {"readers", readers}, {NULL, NULL}};

int main(int argc, char **argv) { return run_act(ACTS, argc, argv); }
