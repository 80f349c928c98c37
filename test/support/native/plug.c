/* Blocks all who list directories or look up a name there that the kernel does not know yet, for as
 * long as it likes: it lists them itself, into a page_of_nobody(), and somebody waits who wants to
 * make a directory, behind whom all others wait.
 *
 *   plug MOUNTPOINT DIRECTORY...
 *
 * Prints the number of its FUSE connection, and "plugged" once all of them are. */

#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "page_of_nobody.h"

static void *page;
static atomic_bool *is_touched;
static atomic_int task;

static void *list(void *directory) {
  const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(directory);
  task = (int)syscall(SYS_gettid);
  syscall(SYS_getdents64, fd, page, 4096);
  return NULL;
}

static void *make(void *directory) {
  char path[PATH_MAX];
  // Which is there already, so that nothing is made when this goes on.
  snprintf(path, sizeof path, "%s/cgroup.procs", (const char *)directory);
  task = (int)syscall(SYS_gettid);
  mkdir(path, 0755);
  return NULL;
}

static char state_of(int id) {
  char path[64], text[256] = "";
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) fail(path);
  close(fd);
  const char *after = strrchr(text, ')');
  return after == NULL ? '?' : after[2];
}

static void begin(void *(*what)(void *), char *directory, int is_next) {
  const struct timespec moment = {0, 1000000};
  pthread_t thread;
  task = 0;
  if (pthread_create(&thread, NULL, what, directory) != 0) fail("thread");
  // The first who touches the page sleeps, the others are not to be disturbed.
  while (task == 0 || !*is_touched) nanosleep(&moment, NULL);
  while (is_next && state_of(task) != 'D') nanosleep(&moment, NULL);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  page = page_of_nobody(argv[1], &is_touched);
  name_connection(argv[1]);
  for (int i = 2; i < argc; ++i) {
    begin(list, argv[i], i > 2);
    begin(make, argv[i], 1);
  }
  printf("plugged\n");
  fflush(stdout);
  pause();
  return 0;
}
