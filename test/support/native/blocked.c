/* Calls sysinfo(2) with a buffer that is a page of a file whose server never answers: its own FUSE
 * file system. blocked SOCKET DIRECTORY; hands its listener over as an OCI runtime does, prints the
 * number of its FUSE connection, and what the call returned once it did. It cannot be killed before
 * that connection is aborted. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "listener.h"

static int fuse = -1;

static void answer(uint64_t unique, const void *data, size_t bytes) {
  char out[4096];
  struct fuse_out_header head = {(uint32_t)(sizeof head + bytes), 0, unique};
  memcpy(out, &head, sizeof head);
  memcpy(out + sizeof head, data, bytes);
  if (write(fuse, out, sizeof head + bytes) < 0) fail("answer");
}

static void attributes(struct fuse_attr *attr, uint64_t node) {
  attr->ino = node;
  attr->mode = node == 1 ? 040755 : 0100666;
  attr->nlink = 1;
  attr->size = node == 1 ? 0 : 4096;
  attr->blksize = 4096;
}

/* One file, whose contents nobody ever gets. */
static void *serve(void *unused) {
  (void)unused;
  static char in[1 << 20];
  while (read(fuse, in, sizeof in) > 0) {
    const struct fuse_in_header *head = (void *)in;
    struct fuse_init_out init = {.major = 7, .minor = 31, .max_write = 65536};
    struct fuse_entry_out entry = {.nodeid = 2, .entry_valid = 3600, .attr_valid = 3600};
    struct fuse_attr_out attr = {.attr_valid = 3600};
    struct fuse_open_out opened = {.fh = 1};
    attributes(&entry.attr, 2);
    attributes(&attr.attr, head->nodeid);
    if (head->opcode == FUSE_INIT) answer(head->unique, &init, sizeof init);
    if (head->opcode == FUSE_LOOKUP) answer(head->unique, &entry, sizeof entry);
    if (head->opcode == FUSE_GETATTR) answer(head->unique, &attr, sizeof attr);
    if (head->opcode == FUSE_OPEN) answer(head->unique, &opened, sizeof opened);
  }
  return NULL;
}

static void *page_of_nobody(const char *directory) {
  char options[128], path[4096];
  pthread_t thread;
  fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
  if (fuse < 0 || mount("blocked", directory, "fuse", 0, options) != 0) fail("mount");
  if (pthread_create(&thread, NULL, serve, NULL) != 0) fail("thread");
  snprintf(path, sizeof path, "%s/file", directory);
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) fail(path);
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (page == MAP_FAILED) fail("mmap");
  return page;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  void *page = page_of_nobody(argv[2]);
  hand_over(reach(argv[1]), listener());
  struct stat st;
  if (stat(argv[2], &st) != 0) fail(argv[2]);
  printf("%u\n", minor(st.st_dev));
  fflush(stdout);
  printf("%ld\n", syscall(SYS_sysinfo, page));
  return 0;
}
