// Asks of a file what no file of proc has, or is stopped while it asks.
//
//   disturb WHAT COUNT FILE [DIRECTORY]
//
// WHAT: "direct" (O_DIRECT), "odd" (xattrs, ioctls and other calls), "handles" (files by handle), "traced"
// (readers that a tracer stops wherever they are) and "frozen" (readers in the cgroup DIRECTORY, which is
// frozen and thawed). Prints "ready DONE REFUSED" after the first COUNT, goes on, and runs until it is
// killed. Exits with 3 where the kernel does not have it.

#define _GNU_SOURCE
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "hold.h"

static const char *directory;

static void direct(void) {
  void *text = NULL;
  if (posix_memalign(&text, 4096, TEXT) != 0) _exit(1);
  for (long n = 0;; ++n) {
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (n < count) tally(fd >= 0);
    if (n == count) began();
    if (fd < 0) continue;
    if (pread(fd, text, TEXT, 0) < 0 && n < count) ++refused;
    if (n >= count) close(fd);
  }
}

static void odd(void) {
  char text[4096];
  for (long n = 0;; ++n) {
    const int fd = open(file, O_RDWR | O_CLOEXEC);
    const int plain = fd >= 0 ? fd : open_it();
    int number = 0;
    struct fiemap map;
    memset(&map, 0, sizeof(map));
    map.fm_length = FIEMAP_MAX_OFFSET;
    struct statfs figures;
    struct file_clone_range range = {.src_fd = plain};
    int did = fgetxattr(plain, "user.none", text, sizeof(text)) >= 0;
    did += flistxattr(plain, text, sizeof(text)) > 0;
    did += fsetxattr(plain, "user.none", "1", 1, 0) == 0;
    did += fremovexattr(plain, "user.none") == 0;
    did += ioctl(plain, FS_IOC_GETFLAGS, &number) == 0;
    did += ioctl(plain, FS_IOC_SETFLAGS, &number) == 0;
    // The kernel itself answers that with 0.
    ioctl(plain, FIBMAP, &number);
    did += ioctl(plain, FS_IOC_FIEMAP, &map) == 0;
    did += ioctl(plain, FIFREEZE, 0) == 0;
    did += ioctl(plain, FICLONERANGE, &range) == 0;
    did += ioctl(plain, 0xe501, text) == 0;  // FUSE_DEV_IOC_CLONE's neighbours
    did += fallocate(plain, 0, 0, 4096) == 0;
    did += ftruncate(plain, 4096) == 0 && fd < 0;
    did += copy_file_range(plain, NULL, plain, NULL, 1, 0) > 0;
    fsync(plain);
    fstatfs(plain, &figures);
    syncfs(plain);
    posix_fadvise(plain, 0, 0, POSIX_FADV_WILLNEED);
    readahead(plain, 0, 1 << 20);
    // None of these is allowed on any file of proc.
    if (n < count) tally(did == 0);
    if (n == count) began();
    close(plain);
  }
}

static void handles(void) {
  struct {
    struct file_handle head;
    unsigned char bytes[MAX_HANDLE_SZ];
  } handle;
  int at = -1;
  for (long n = 0;; ++n) {
    handle.head.handle_bytes = MAX_HANDLE_SZ;
    const int named = name_to_handle_at(AT_FDCWD, file, &handle.head, &at, 0) == 0;
    const int mount = open_it();
    // Also of what never was: by numbers near it.
    if (n % 2 == 1) handle.bytes[0] = (unsigned char)n;
    const int fd = named ? open_by_handle_at(mount, &handle.head, O_RDONLY | O_CLOEXEC) : -1;
    if (n < count) tally(named);
    if (n == count) began();
    if (fd >= 0) read_all(fd);
    if (fd >= 0) close(fd);
    close(mount);
  }
}

static void read_for_ever(void) {
  for (;;) {
    const int fd = open_it();
    if (fd >= 0) read_all(fd);
    if (fd >= 0) close(fd);
  }
}

static void traced(void) {
  pid_t *pids = calloc((size_t)count, sizeof(pid_t));
  for (long n = 0; n < count; ++n) {
    pids[n] = child();
    if (pids[n] == 0) read_for_ever();
    tally(ptrace(PTRACE_SEIZE, pids[n], NULL, NULL) == 0);
  }
  began();
  for (long n = 0;; n = (n + 1) % count) {
    int status = 0;
    if (ptrace(PTRACE_INTERRUPT, pids[n], NULL, NULL) != 0) continue;
    waitpid(pids[n], &status, __WALL);
    // At most half of them run: the others stand where a request was, or is to be.
    const long other = (n + count / 2) % count;
    ptrace(PTRACE_CONT, pids[other], NULL, NULL);
  }
}

static int set(const char *name, const char *text) {
  char path[4096];
  snprintf(path, sizeof(path), "%s/%s", directory, name);
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  const int is_set = fd >= 0 && write(fd, text, strlen(text)) > 0;
  if (fd >= 0) close(fd);
  return is_set;
}

static void frozen(void) {
  for (long n = 0; n < count; ++n) {
    const pid_t pid = child();
    if (pid == 0) {
      if (!set("cgroup.procs", "0")) _exit(1);
      read_for_ever();
    }
    tally(pid > 0);
  }
  // Cgroups of v1 have another file for it.
  const int is_v2 = set("cgroup.freeze", "0");
  if (!is_v2 && !set("freezer.state", "THAWED")) _exit(NOT_HERE);
  began();
  for (int on = 1;; on = !on) {
    const int is_set = is_v2 ? set("cgroup.freeze", on ? "1" : "0")
                             : set("freezer.state", on ? "FROZEN" : "THAWED");
    usleep(is_set ? 20000 : 1000);
  }
}

static const struct Act ACTS[] = {{"direct", direct}, {"odd", odd},       {"handles", handles},
                                  {"traced", traced}, {"frozen", frozen}, {NULL, NULL}};

int main(int argc, char **argv) {
  directory = argc > 4 ? argv[4] : ".";
  return run_act(ACTS, argc, argv);
}
