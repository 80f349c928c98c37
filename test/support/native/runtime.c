/* Hands a listener over as a slow OCI runtime would: connects, hands it over with the beginning of what it
 * has to say when a line comes in, and with the next one calls sysinfo(2), says the rest, and prints the
 * memory that it was told of in MiB, or -errno. Says what it has done. runtime SOCKET */

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
  long told;
  if (argc != 2) return 2;
  const int peer = reach(argv[1]);
  step("connected");
  const int fd = listener();
  say(peer, "{", fd);
  close(fd);
  step("handed over");
  told = syscall(SYS_sysinfo, &info) == 0 ? (long)(info.totalram * info.mem_unit >> 20) : -errno;
  say(peer, &STATE[1], -1);
  printf("%ld\n", told);
  return 0;
}
