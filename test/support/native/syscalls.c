// Makes system calls on request: one line of words on stdin is one call, its path is the line's
// last word. Each answer on stdout is a line "RESULT ERRNO LENGTH" and LENGTH bytes.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { ROOM = 1 << 20 };

static char data[ROOM];
static size_t length;
static long number[4];
static const char* path;
static int pipe_fds[2];
static sigjmp_buf no_page;

static void on_bus_error(int signal) {
  (void)signal;
  siglongjmp(no_page, 1);
}

static long with_data(ssize_t n) {
  length = n > 0 ? (size_t)n : 0;
  return n;
}

static long limited(long n) { return n < 0 ? 0 : n > ROOM ? ROOM : n; }

/// What went into the pipe comes out again.
static long drained(ssize_t n) {
  if (n <= 0) return n;
  return with_data(read(pipe_fds[0], data, (size_t)n));
}

static long do_sendfile(void) {
  off_t offset = number[2];
  return drained(sendfile(pipe_fds[1], (int)number[0], number[2] < 0 ? NULL : &offset,
                          (size_t)limited(number[1])));
}

static long do_splice(void) {
  return drained(splice((int)number[0], NULL, pipe_fds[1], NULL, (size_t)limited(number[1]), 0));
}

static long do_mmap(void) {
  const size_t size = (size_t)limited(number[1]);
  void* map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, (int)number[0], 0);
  if (map == MAP_FAILED) return -1;
  volatile long result = (long)size;
  if (sigsetjmp(no_page, 1) == 0) {
    memcpy(data, map, size);
    length = size;
  } else {
    errno = EFAULT;
    result = -1;
  }
  munmap(map, size);
  return result;
}

static long attributes(int failed, const struct stat* st) {
  if (failed != 0) return -1;
  length = (size_t)snprintf(data, ROOM, "%o %u %u %lld %lld %llu %lu", st->st_mode, st->st_uid,
                            st->st_gid, (long long)st->st_size, (long long)st->st_blocks,
                            (unsigned long long)st->st_ino, (unsigned long)st->st_nlink);
  return 0;
}

static long do_fstat(void) {
  struct stat st;
  return attributes(fstat((int)number[0], &st), &st);
}

static void* fstat_thread(void* result) {
  *(long*)result = do_fstat();
  return NULL;
}

/// In a thread that is not the one that opened it.
static long do_fstat_elsewhere(void) {
  pthread_t thread;
  long result = -1;
  errno = pthread_create(&thread, NULL, fstat_thread, &result);
  if (errno == 0) pthread_join(thread, NULL);
  return result;
}

static long do_stat(void) {
  struct stat st;
  return attributes(lstat(path, &st), &st);
}

static long do_statfs(void) {
  struct statfs fs;
  if (statfs(path, &fs) != 0) return -1;
  length = (size_t)snprintf(data, ROOM, "%lx %llu %llu %llu %ld", (unsigned long)fs.f_type,
                            (unsigned long long)fs.f_blocks, (unsigned long long)fs.f_bfree,
                            (unsigned long long)fs.f_files, (long)fs.f_namelen);
  return 0;
}

static long do_list(void) {
  DIR* dir = opendir(path);
  if (dir == NULL) return -1;
  for (struct dirent* e; (e = readdir(dir)) != NULL && length < ROOM - 512;) {
    length += (size_t)snprintf(data + length, ROOM - length, "%d %llu %s\n", e->d_type,
                               (unsigned long long)e->d_ino, e->d_name);
  }
  closedir(dir);
  return 0;
}

static long do_open(void) { return open(path, (int)number[0] | O_CLOEXEC, 0644); }
static long do_close(void) { return close((int)number[0]); }
static long do_dup(void) { return dup((int)number[0]); }
static long do_lseek(void) { return lseek((int)number[0], number[1], (int)number[2]); }
static long do_write(void) { return write((int)number[0], data, (size_t)limited(number[1])); }
static long do_ftruncate(void) { return ftruncate((int)number[0], number[1]); }
static long do_ioctl(void) { return ioctl((int)number[0], (unsigned long)number[1], data); }
static long do_fsync(void) { return fsync((int)number[0]); }
static long do_flock(void) { return flock((int)number[0], LOCK_SH | LOCK_NB); }
static long do_fallocate(void) { return fallocate((int)number[0], 0, 0, 4096); }
static long do_fadvise(void) {
  return (errno = posix_fadvise((int)number[0], 0, 0, POSIX_FADV_WILLNEED)) == 0 ? 0 : -1;
}
static long do_readahead(void) { return readahead((int)number[0], 0, 65536); }
static long do_truncate(void) { return truncate(path, number[0]); }
static long do_chmod(void) { return chmod(path, (mode_t)number[0]); }
static long do_chown(void) { return chown(path, (uid_t)number[0], (gid_t)number[0]); }
static long do_utimes(void) { return utimensat(AT_FDCWD, path, NULL, 0); }
static long do_mkdir(void) { return mkdir(path, 0755); }
static long do_mknod(void) { return mknod(path, S_IFIFO | 0644, 0); }
static long do_symlink(void) { return symlink("x", path); }
static long do_rmdir(void) { return rmdir(path); }
static long do_unlink(void) { return unlink(path); }
static long do_access(void) { return access(path, (int)number[0]); }
static long do_rename(void) {
  char to[4096];
  snprintf(to, sizeof(to), "%s.renamed", path);
  return rename(path, to);
}
static long do_link(void) {
  char to[4096];
  snprintf(to, sizeof(to), "%s.linked", path);
  return link(path, to);
}
static long do_setxattr(void) { return setxattr(path, "user.test", "x", 1, 0); }
static long do_getxattr(void) { return getxattr(path, "user.test", data, ROOM); }
static long do_readlink(void) { return with_data(readlink(path, data, ROOM)); }
static long do_read(void) {
  return with_data(read((int)number[0], data, (size_t)limited(number[1])));
}
static long do_pread(void) {
  return with_data(pread((int)number[0], data, (size_t)limited(number[1]), number[2]));
}
static long do_poll(void) {
  struct pollfd p = {(int)number[0], POLLIN | POLLPRI, 0};
  const int n = poll(&p, 1, 0);
  return n < 0 ? -1 : p.revents;
}
static long do_setuid(void) {
  return syscall(SYS_setgroups, 0, NULL) != 0 ||
                 setresgid((gid_t)number[0], (gid_t)number[0], (gid_t)number[0]) != 0
             ? -1
             : setresuid((uid_t)number[0], (uid_t)number[0], (uid_t)number[0]);
}

static const struct {
  const char* word;
  int numbers;
  int has_path;
  long (*run)(void);
} calls[] = {
    {"open", 1, 1, do_open},
    {"close", 1, 0, do_close},
    {"read", 2, 0, do_read},
    {"pread", 3, 0, do_pread},
    {"lseek", 3, 0, do_lseek},
    {"dup", 1, 0, do_dup},
    {"fstat", 1, 0, do_fstat},
    {"stat", 0, 1, do_stat},
    {"statfs", 0, 1, do_statfs},
    {"list", 0, 1, do_list},
    {"fstat_elsewhere", 1, 0, do_fstat_elsewhere},
    {"readlink", 0, 1, do_readlink},
    {"write", 2, 0, do_write},
    {"ioctl", 2, 0, do_ioctl},
    {"sendfile", 3, 0, do_sendfile},
    {"splice", 2, 0, do_splice},
    {"mmap", 2, 0, do_mmap},
    {"fsync", 1, 0, do_fsync},
    {"flock", 1, 0, do_flock},
    {"poll", 1, 0, do_poll},
    {"fallocate", 1, 0, do_fallocate},
    {"fadvise", 1, 0, do_fadvise},
    {"readahead", 1, 0, do_readahead},
    {"truncate", 1, 1, do_truncate},
    {"ftruncate", 2, 0, do_ftruncate},
    {"chmod", 1, 1, do_chmod},
    {"chown", 1, 1, do_chown},
    {"utimes", 0, 1, do_utimes},
    {"mkdir", 0, 1, do_mkdir},
    {"mknod", 0, 1, do_mknod},
    {"symlink", 0, 1, do_symlink},
    {"rmdir", 0, 1, do_rmdir},
    {"unlink", 0, 1, do_unlink},
    {"access", 1, 1, do_access},
    {"rename", 0, 1, do_rename},
    {"link", 0, 1, do_link},
    {"setxattr", 0, 1, do_setxattr},
    {"getxattr", 0, 1, do_getxattr},
    {"setuid", 1, 0, do_setuid},
};

static long call(char* line) {
  char* word = strsep(&line, " ");
  for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i) {
    if (strcmp(word, calls[i].word) != 0) continue;
    for (int n = 0; n < calls[i].numbers; ++n) {
      number[n] = line == NULL ? -1 : strtol(strsep(&line, " "), NULL, 0);
    }
    path = calls[i].has_path && line != NULL ? line : "";
    errno = 0;
    return calls[i].run();
  }
  errno = ENOSYS;
  return -1;
}

int main(void) {
  char* line = NULL;
  size_t room = 0;
  signal(SIGBUS, on_bus_error);
  if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0) return 1;
  fcntl(pipe_fds[1], F_SETPIPE_SZ, ROOM);
  for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
    line[n - 1] = '\0';
    length = 0;
    const long result = call(line);
    printf("%ld %d %zu\n", result, result < 0 ? errno : 0, length);
    fwrite(data, 1, length, stdout);
    fflush(stdout);
  }
  return 0;
}
