// Opens a file COUNT times and keeps all that it gets until stdin ends.
//
//   hoard COUNT FILE
//
// Prints "OPENED ENFILE EMFILE OTHER" when it has tried them all. Takes as many processes as the
// limit of open files demands, so that only the server's own limit shows.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

struct Tally {
  long opened, enfile, emfile, other;
};

static struct Tally hoard(const char *file, long count) {
  struct Tally tally = {0, 0, 0, 0};
  for (; count > 0; --count) {
    if (open(file, O_RDONLY | O_CLOEXEC) >= 0) ++tally.opened;
    else if (errno == ENFILE) ++tally.enfile;
    else if (errno == EMFILE) ++tally.emfile;
    else ++tally.other;
  }
  return tally;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const long share = (long)limit.rlim_cur - 64;
  int tallies[2], quit[2];
  if (pipe(tallies) != 0 || pipe(quit) != 0) return 1;
  struct Tally sum = {0, 0, 0, 0};
  for (long left = atol(argv[1]); left > 0; left -= share) {
    if (fork() == 0) {
      char byte;
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(quit[1]);
      const struct Tally tally = hoard(argv[2], left < share ? left : share);
      if (write(tallies[1], &tally, sizeof(tally)) < 0) _exit(1);
      while (read(quit[0], &byte, 1) > 0) {
      }
      _exit(0);
    }
    struct Tally tally;
    if (read(tallies[0], &tally, sizeof(tally)) != sizeof(tally)) return 1;
    sum.opened += tally.opened;
    sum.enfile += tally.enfile;
    sum.emfile += tally.emfile;
    sum.other += tally.other;
  }
  printf("%ld %ld %ld %ld\n", sum.opened, sum.enfile, sum.emfile, sum.other);
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}
