// A container that makes attaching to it as costly as it can. Run by root inside.
//
//   mounter hanging COUNT        COUNT mount namespaces whose root is an overlay over a FUSE file
//                                system of its own, which hangs from then on
//   mounter many MOUNTS COUNT    MOUNTS bind mounts, in each of COUNT mount namespaces
//   mounter over PATH            such a FUSE file system over a directory of procfs
//   mounter long BYTES           a mount table of at least so many bytes
//   mounter pile MOUNTS          at least so many mounts on one point of the container's own
//                                namespace, so that its mount table takes the kernel very long
//   mounter pivot                the root of the container itself is such a FUSE file system, below
//                                which /proc is what it was
//   mounter churn                mount namespaces that come and go, one program in each
//
// Prints "ready" and runs until it is killed.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE "/tmp/mounter"

static void check(int failed, const char *what) {
  if (!failed) return;
  fprintf(stderr, "mounter: %s: %s\n", what, strerror(errno));
  _exit(1);
}

static void make_directory(const char *path) {
  check(mkdir(path, 0755) != 0 && errno != EEXIST, path);
}

// --- a file system with three directories -------------------------------------------------------

static void fill(struct fuse_attr *attr, uint64_t node) {
  memset(attr, 0, sizeof *attr);
  attr->ino = node;
  attr->mode = S_IFDIR | 0755;
  attr->nlink = 2;
}

static uint64_t node_of(const char *name) {
  static const char *const names[] = {"proc", "sys", "old"};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    if (strcmp(name, names[i]) == 0) return i + 2;
  }
  return 0;
}

static void answer(int fd, uint64_t unique, int error, const void *data, size_t size) {
  char out[sizeof(struct fuse_out_header) + 256];
  struct fuse_out_header header = {0};
  header.len = (uint32_t)(sizeof header + size);
  header.error = error;
  header.unique = unique;
  memcpy(out, &header, sizeof header);
  if (size > 0) memcpy(out + sizeof header, data, size);
  if (write(fd, out, header.len) < 0) return;
}

/// Serves until `*hang` is set, and from then on takes requests and answers none: whoever waits for
/// an answer that was taken cannot be killed.
static void serve(int fd, const volatile int *hang) {
  static char in[1 << 20];
  for (;;) {
    const ssize_t n = read(fd, in, sizeof in);
    if (n < 0 && (errno == EINTR || errno == ENOENT)) continue;
    if (n < 0) _exit(0);
    const struct fuse_in_header *const header = (const void *)in;
    const char *const argument = in + sizeof *header;
    if (*hang || header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET) continue;
    switch (header->opcode) {
      case FUSE_INIT: {
        struct fuse_init_out out = {0};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = 31;
        out.max_write = 4096;
        answer(fd, header->unique, 0, &out, sizeof out);
        break;
      }
      case FUSE_LOOKUP: {
        struct fuse_entry_out out = {0};
        out.nodeid = node_of(argument);
        fill(&out.attr, out.nodeid);
        answer(fd, header->unique, out.nodeid == 0 ? -ENOENT : 0, &out,
               out.nodeid == 0 ? 0 : sizeof out);
        break;
      }
      case FUSE_GETATTR: {
        struct fuse_attr_out out = {0};
        fill(&out.attr, header->nodeid);
        answer(fd, header->unique, 0, &out, sizeof out);
        break;
      }
      case FUSE_STATFS: {
        struct fuse_statfs_out out = {0};
        out.st.namelen = 255;
        answer(fd, header->unique, 0, &out, sizeof out);
        break;
      }
      case FUSE_OPENDIR: {
        struct fuse_open_out out = {0};
        answer(fd, header->unique, 0, &out, sizeof out);
        break;
      }
      case FUSE_READDIR:
      case FUSE_RELEASEDIR:
        answer(fd, header->unique, 0, NULL, 0);
        break;
      default:
        answer(fd, header->unique, -ENOSYS, NULL, 0);
    }
  }
}

static void mount_served(const char *where, const volatile int *hang) {
  char options[128];
  const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  check(fd < 0, "/dev/fuse");
  snprintf(options, sizeof options, "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", fd);
  check(mount("mounter", where, "fuse.mounter", 0, options) != 0, "mount fuse");
  const pid_t server = fork();
  check(server < 0, "fork");
  if (server == 0) serve(fd, hang);
  close(fd);
}

// --- namespaces -----------------------------------------------------------------------------------

static int program;  ///< this one, in memory: no path leads to it

static void become_sleeper(void) {
  char *const argv[] = {"mounter", "sleep", NULL};
  char *const environment[] = {NULL};
  syscall(SYS_execveat, program, "", argv, environment, AT_EMPTY_PATH);
  check(1, "execveat");
}

static void load_program(void) {
  static char buffer[1 << 16];
  const int from = open("/proc/self/exe", O_RDONLY);
  program = memfd_create("mounter", 0);
  check(from < 0 || program < 0, "memfd");
  for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;) {
    check(write(program, buffer, (size_t)n) != n, "memfd");
  }
  close(from);
}

static void hanging(int count) {
  volatile int *const hang = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  check(mount("mounter", BASE, "tmpfs", 0, NULL) != 0, "mount tmpfs");
  make_directory(BASE "/lower");
  make_directory(BASE "/upper");
  make_directory(BASE "/work");
  make_directory(BASE "/root");
  mount_served(BASE "/lower", hang);
  check(mount("overlay", BASE "/root", "overlay", 0,
              "lowerdir=" BASE "/lower,upperdir=" BASE "/upper,workdir=" BASE "/work") != 0,
        "mount overlay");
  int ready[2], go[2];
  check(pipe(ready) != 0 || pipe(go) != 0, "pipe");
  for (int i = 0; i < count; ++i) {
    const pid_t child = fork();
    check(child < 0, "fork");
    if (child > 0) continue;
    char byte = 0;
    close(go[1]);
    check(unshare(CLONE_NEWNS) != 0, "unshare");
    check(mount("proc", BASE "/root/proc", "proc", 0, NULL) != 0, "mount proc");
    check(mount("sysfs", BASE "/root/sys", "sysfs", 0, NULL) != 0, "mount sysfs");
    check(chdir(BASE "/root") != 0, "chdir");
    check(syscall(SYS_pivot_root, ".", "old") != 0, "pivot_root");
    check(umount2("/old", MNT_DETACH) != 0, "umount");
    check(write(ready[1], "x", 1) != 1, "write");
    if (read(go[0], &byte, 1) < 0) _exit(1);
    become_sleeper();
  }
  for (int i = 0; i < count; ++i) {
    char byte;
    check(read(ready[0], &byte, 1) != 1, "read");
  }
  *hang = 1;
  close(go[1]);
}

static void over(const char *path) {
  struct stat st;
  volatile int *const hang = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  mount_served(path, hang);
  check(stat(path, &st) != 0, path);
  *hang = 1;
}

/* The kernel moves all processes of this mount namespace that had the old root. */
static void pivot(void) {
  volatile int *const hang = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  make_directory(BASE "/root");
  mount_served(BASE "/root", hang);
  check(mount("/proc", BASE "/root/proc", NULL, MS_BIND | MS_REC, NULL) != 0, "bind proc");
  check(chdir(BASE "/root") != 0, "chdir");
  check(syscall(SYS_pivot_root, ".", "old") != 0, "pivot_root");
  *hang = 1;
}

static void many(int mounts, int count) {
  char path[128];
  check(mount("mounter", BASE, "tmpfs", 0, NULL) != 0, "mount tmpfs");
  make_directory(BASE "/from");
  for (int i = 0; i < mounts; ++i) {
    snprintf(path, sizeof path, BASE "/%d", i % 1000);
    if (i < 1000) make_directory(path);
    check(mount(BASE "/from", path, NULL, MS_BIND, NULL) != 0, "bind");
  }
  int go[2];
  check(pipe(go) != 0, "pipe");
  for (int i = 0; i < count; ++i) {
    const pid_t child = fork();
    check(child < 0, "fork");
    if (child > 0) continue;
    check(unshare(CLONE_NEWNS) != 0, "unshare");
    become_sleeper();
  }
}

// From <linux/mount.h>, which not every C library can be used together with.
enum { CLONE_TREE = 0x1, MOVE_DESCRIPTORS = 0x4 | 0x40, WITH_ALL_ABOVE = 0x8000 };

/// Lays mounts, with all that is above them, on top of what is mounted at a path.
static void lay(int mounts, const char *on) {
  const int top = open(on, O_PATH | O_CLOEXEC);
  check(top < 0, on);
  check(syscall(SYS_move_mount, mounts, "", top, "", MOVE_DESCRIPTORS) != 0, "move_mount");
  close(top);
}

static int clone_of(int mount) {
  const int flags = AT_EMPTY_PATH | WITH_ALL_ABOVE | CLONE_TREE | O_CLOEXEC;
  const int clone = (int)syscall(SYS_open_tree, mount, "", flags);
  check(clone < 0, "open_tree");
  return clone;
}

static void pile(int mounts) {
  check(mount("mounter", BASE, "tmpfs", 0, NULL) != 0, "mount tmpfs");
  make_directory(BASE "/one");
  make_directory(BASE "/two");
  check(mount("mounter", BASE "/one", "tmpfs", 0, NULL) != 0, "mount tmpfs");
  const int one = open(BASE "/one", O_PATH | O_CLOEXEC);
  check(one < 0, BASE "/one");
  // Each clone doubles them.
  for (int made = 1; made < mounts / 2; made *= 2) {
    const int clone = clone_of(one);
    lay(clone, BASE "/one");
    close(clone);
  }
  // The table begins with those that were made first: they come on top.
  const int two = clone_of(one);
  lay(two, BASE "/two");
  close(two);
  lay(one, BASE "/two");
}

static void make_long(long bytes) {
  char path[4000] = BASE;
  check(mount("mounter", BASE, "tmpfs", 0, NULL) != 0, "mount tmpfs");
  size_t size = strlen(path);
  while (size + 202 < sizeof path) {
    path[size++] = '/';
    memset(path + size, 'x', 200);
    path[size += 200] = 0;
    make_directory(path);
  }
  for (long made = 0; made < bytes; made += (long)size) {
    check(mount(path, path, NULL, MS_BIND, NULL) != 0, "bind");
  }
}

static void churn(void) {
  for (;;) {
    const pid_t child = fork();
    check(child < 0, "fork");
    if (child == 0) {
      char *const argv[] = {"mounter", "nothing", NULL};
      char *const environment[] = {NULL};
      check(unshare(CLONE_NEWNS) != 0, "unshare");
      syscall(SYS_execveat, program, "", argv, environment, AT_EMPTY_PATH);
      _exit(1);
    }
    waitpid(child, NULL, 0);
  }
}

int main(int argc, char **argv) {
  const char *const what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "nothing") == 0) return 0;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (strcmp(what, "sleep") == 0) {
    for (;;) pause();
  }
  load_program();
  const int is_own = strcmp(what, "pivot") != 0 && strcmp(what, "pile") != 0;
  check(is_own && unshare(CLONE_NEWNS) != 0, "unshare");
  check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0, "make private");
  // The container may share its /tmp with the host.
  check(mount("mounter", "/tmp", "tmpfs", 0, NULL) != 0, "mount tmpfs");
  make_directory(BASE);
  if (strcmp(what, "hanging") == 0 && argc == 3) hanging(atoi(argv[2]));
  else if (strcmp(what, "pile") == 0 && argc == 3) pile(atoi(argv[2]));
  else if (strcmp(what, "pivot") == 0) pivot();
  else if (strcmp(what, "over") == 0 && argc == 3) over(argv[2]);
  else if (strcmp(what, "many") == 0 && argc == 4) many(atoi(argv[2]), atoi(argv[3]));
  else if (strcmp(what, "long") == 0 && argc == 3) make_long(atol(argv[2]));
  else if (strcmp(what, "churn") != 0) return 2;
  printf("ready\n");
  fflush(stdout);
  if (strcmp(what, "churn") == 0) churn();
  if (strcmp(what, "long") == 0 || strcmp(what, "over") == 0) become_sleeper();
  for (;;) pause();
}
