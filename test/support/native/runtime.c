/* Hands a listener over as a slow OCI runtime would: connects, hands it over when a line comes in, and
 * with the next one calls sysinfo(2) and prints the memory that it is told of in MiB, or -errno. Says
 * what it has done. runtime SOCKET */

#include <errno.h>
#include <sys/sysinfo.h>

#include "listener.h"

static void step(const char *done) {
  char line[16];
  puts(done);
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) exit(1);
}

int main(int argc, char **argv) {
  struct sysinfo info;
  if (argc != 2) return 2;
  const int peer = reach(argv[1]);
  step("connected");
  const int fd = listener();
  hand_over(peer, fd);
  step("handed over");
  if (syscall(SYS_sysinfo, &info) != 0) {
    printf("%d\n", -errno);
  } else {
    printf("%lu\n", info.totalram / 1024 * info.mem_unit / 1024);
  }
  return 0;
}
