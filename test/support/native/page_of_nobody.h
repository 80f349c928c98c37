/* A page of a file whose server never answers: of a FUSE file system of the program's own. Whoever
 * touches it waits, and cannot be killed, before the connection is aborted. That happens with the end
 * of its server, a process of its own, which the thread that has made it takes with it. */

#pragma once

#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fail.h"

static void answer(int fuse, uint64_t unique, const void *data, size_t bytes) {
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

/* One file, whose contents nobody ever gets. `is_touched`: somebody waits for them. */
static _Noreturn void serve(int fuse, atomic_bool *is_touched) {
  static char in[1 << 20];
  while (read(fuse, in, sizeof in) > 0) {
    const struct fuse_in_header *head = (void *)in;
    struct fuse_init_out init = {.major = 7, .minor = 31, .max_write = 65536};
    struct fuse_entry_out entry = {.nodeid = 2, .entry_valid = 3600, .attr_valid = 3600};
    struct fuse_attr_out attr = {.attr_valid = 3600};
    struct fuse_open_out opened = {.fh = 1};
    attributes(&entry.attr, 2);
    attributes(&attr.attr, head->nodeid);
    if (head->opcode == FUSE_READ) *is_touched = true;
    if (head->opcode == FUSE_INIT) answer(fuse, head->unique, &init, sizeof init);
    if (head->opcode == FUSE_LOOKUP) answer(fuse, head->unique, &entry, sizeof entry);
    if (head->opcode == FUSE_GETATTR) answer(fuse, head->unique, &attr, sizeof attr);
    if (head->opcode == FUSE_OPEN) answer(fuse, head->unique, &opened, sizeof opened);
  }
  _exit(0);
}

static void *page_of_nobody(const char *directory, atomic_bool **is_touched) {
  char options[128], path[4096];
  const int shared = MAP_SHARED | MAP_ANONYMOUS;
  *is_touched = mmap(NULL, sizeof **is_touched, PROT_READ | PROT_WRITE, shared, -1, 0);
  const int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
  if (*is_touched == MAP_FAILED || fuse < 0) fail("/dev/fuse");
  if (mount("blocked", directory, "fuse", 0, options) != 0) fail("mount");
  const pid_t server = fork();
  if (server < 0) fail("fork");
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve(fuse, *is_touched);
  }
  // Only the server has it, so that it ends with that.
  close(fuse);
  snprintf(path, sizeof path, "%s/file", directory);
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) fail(path);
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (page == MAP_FAILED) fail("mmap");
  return page;
}

/* Prints the number of the connection, by which it is aborted. */
static void name_connection(const char *directory) {
  struct stat st;
  if (stat(directory, &st) != 0) fail(directory);
  printf("%u\n", minor(st.st_dev));
  fflush(stdout);
}
