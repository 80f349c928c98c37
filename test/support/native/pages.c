// Holds pages of a file for as long as it can: threads that get no CPU time to speak of fill the page
// cache with it (sendfile) and have it dropped again, beside as many that burn what there is.
//
//   pages READERS BURNERS FILE
//
// Prints "ready" and runs until it is killed.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static void *hold(void *file) {
  const struct sched_param none = {0};
  sched_setscheduler(0, SCHED_IDLE, &none);
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (;;) {
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    off_t at = 0;
    while (sendfile(null, fd, &at, 1 << 16) > 0) {
    }
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
      char *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
      if (map != MAP_FAILED) {
        volatile char byte = *map;
        (void)byte;
        munmap(map, (size_t)st.st_size);
      }
    }
    close(fd);
  }
  return NULL;
}

static void *burn(void *unused) {
  volatile unsigned long n = 0;
  for (;;) ++n;
  return unused;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  pthread_t thread;
  for (int i = atoi(argv[1]); i > 0; --i) {
    if (pthread_create(&thread, NULL, hold, argv[3]) != 0) return 1;
  }
  for (int i = atoi(argv[2]); i > 0; --i) {
    if (pthread_create(&thread, NULL, burn, NULL) != 0) return 1;
  }
  puts("ready");
  fflush(stdout);
  pause();
  return 0;
}
