#include "fuse/files.h"

#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace vprocfs {

fuse_attr attributes_of(NodeId node, uint32_t mode, uint64_t size) {
  fuse_attr attr{};
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  attr.ino = node.raw();
  attr.size = size;
  attr.atime = attr.mtime = attr.ctime = static_cast<uint64_t>(now.tv_sec);
  attr.atimensec = attr.mtimensec = attr.ctimensec = static_cast<uint32_t>(now.tv_nsec);
  attr.mode = mode;
  attr.nlink = 1;
  attr.blksize = 4096;
  return attr;
}

fuse_attr attributes_of(NodeId node, uint32_t mode, uint64_t size, uint64_t modified_ns) {
  constexpr uint64_t kNsPerSecond = 1000000000;
  fuse_attr attr = attributes_of(node, mode, size);
  attr.mtime = attr.ctime = modified_ns / kNsPerSecond;
  attr.mtimensec = attr.ctimensec = static_cast<uint32_t>(modified_ns % kNsPerSecond);
  return attr;
}

void Files::answer_slice(const Request& r, std::string_view text) {
  const auto* in = r.arg<fuse_read_in>();
  answer_bytes(r, OpenFiles::slice(text, in->offset, in->size));
}

void Files::access(const Request& r) {
  const auto* in = r.arg<fuse_access_in>();
  const View* view = serving_.tree.file(node_of(r).index());
  const uint32_t mode = view == nullptr ? 0555 : view->mode;
  // Everything is root's and no group's; root lacks only what nobody has: execution.
  const uint32_t allowed = r.header().uid == 0 ? (R_OK | W_OK | (mode & X_OK)) : mode & 07;
  if ((in->mask & ~allowed & 07) != 0) {
    reply().error(r.header().unique, EACCES);
    return;
  }
  reply().ok(r.header().unique);
}

void Files::lookup(const Request& r, const std::string&) {
  reply().error(r.header().unique, ENOENT);
}

void Files::opendir(const Request& r) { answer(r, fuse_open_out{}); }

void Files::readdir(const Request& r) { fail(r, ENOTDIR); }

void Files::readlink(const Request& r) { fail(r, EINVAL); }

// proc looks a new name up and does not find it.
void Files::refuse_creation(const Request& r) { fail(r, ENOENT); }
void Files::refuse_name(const Request& r) { fail(r, ENOENT); }

void Files::open(const Request& r) { fail(r, ENOENT); }

void Files::read(const Request& r) { fail(r, r.arg<fuse_read_in>()->fh == 0 ? ESRCH : EBADF); }

// fs/proc/inode.c: a file without a write method.
void Files::write(const Request& r) { fail(r, EIO); }

void Files::release(const Request& r) {
  const auto* in = r.arg<fuse_release_in>();
  serving_.triggers.release(in->fh, node_of(r));
  serving_.open_files.erase(in->fh, node_of(r));
  reply().ok(r.header().unique);
}

}  // namespace vprocfs
