/* Calls sysinfo(2) with a buffer that is a page_of_nobody(). blocked SOCKET DIRECTORY; hands its
 * listener over as an OCI runtime does, prints the number of its FUSE connection, and what the call
 * returned once it did. */

#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "listener.h"
#include "page_of_nobody.h"

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  atomic_bool *is_touched;
  void *page = page_of_nobody(argv[2], &is_touched);
  hand_over(reach(argv[1]), listener());
  name_connection(argv[2]);
  printf("%ld\n", syscall(SYS_sysinfo, page));
  return 0;
}
