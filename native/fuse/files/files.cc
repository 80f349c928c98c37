#include "fuse/files/files.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace vprocfs {
namespace {

bool is_read_only(const View* view) { return view != nullptr && is_of_sysfs(*view); }

}  // namespace

void set_time(uint64_t ns, uint64_t& seconds, uint32_t& rest_ns) {
  constexpr uint64_t kNsPerSecond = 1'000'000'000;
  seconds = ns / kNsPerSecond;
  rest_ns = static_cast<uint32_t>(ns % kNsPerSecond);
}

void set_modified(uint64_t ns, fuse_attr& attr) {
  set_time(ns, attr.mtime, attr.mtimensec);
  set_time(ns, attr.ctime, attr.ctimensec);
}

fuse_attr attributes_of(NodeId node, uint32_t mode, uint64_t size) {
  fuse_attr attr{};
  const uint64_t now_ns = clock_ns(CLOCK_REALTIME_COARSE);
  attr.ino = node.inode();
  attr.size = size;
  set_time(now_ns, attr.atime, attr.atimensec);
  set_modified(now_ns, attr);
  attr.mode = mode;
  attr.nlink = 1;
  attr.blksize = 4096;
  return attr;
}

fuse_attr attributes_of(NodeId node, uint32_t mode, uint64_t size, uint64_t modified_ns) {
  fuse_attr attr = attributes_of(node, mode, size);
  set_modified(modified_ns, attr);
  return attr;
}

Answer entry_of(NodeId node, const fuse_attr& attr, uint64_t valid_s) {
  fuse_entry_out out{};
  out.nodeid = node.raw();
  out.attr = attr;
  out.entry_valid = valid_s;
  return Answer::of(out);
}

std::string Files::name_of(const Request& r) {
  const auto* bytes = reinterpret_cast<const char*>(r.payload());
  return {bytes, ::strnlen(bytes, r.payload_size())};
}

Answer Files::opened(uint64_t handle, NodeId node, uint32_t flags) {
  fuse_open_out out{};
  out.open_flags = flags;
  out.fh = handle;
  // Nobody is there to close it.
  return Answer::of(out).or_undo([this, handle, node] { parts_.open_files.erase(handle, node); });
}

Answer Files::slice(const Request& r, std::string_view text, std::shared_ptr<const void> owner) {
  const auto* in = r.arg<fuse_read_in>();
  return Answer::part(OpenFiles::slice(text, in->offset, in->size), std::move(owner));
}

Answer Files::set_attributes(const Request& r) {
  const auto* in = r.arg<fuse_setattr_in>();
  // open(O_TRUNC) on a proc file changes nothing and succeeds for who may write; nothing else is
  // ours to change.
  if ((in->valid & ~uint32_t{FATTR_SIZE | FATTR_FH | FATTR_LOCKOWNER}) != 0) {
    return Answer::error(EPERM);
  }
  if (r.header().uid != 0) return Answer::error(EACCES);
  return truncate(r);
}

Answer Files::truncate(const Request& r) {
  if (is_read_only(parts_.tree.file(node_of(r).index()))) return Answer::error(EROFS);
  return attributes(r);
}

Answer Files::access(const Request& r) {
  const auto* in = r.arg<fuse_access_in>();
  const View* view = parts_.tree.file(node_of(r).index());
  const uint32_t mode = view == nullptr ? 0555 : view->mode;
  // Everything is root's and no group's; root lacks only what nobody has: execution.
  const uint32_t allowed = r.header().uid == 0 ? (R_OK | W_OK | (mode & X_OK)) : mode & 07;
  if ((in->mask & ~allowed & 07) != 0) return Answer::tell(EACCES);
  if ((in->mask & W_OK) != 0 && is_read_only(view)) return Answer::tell(EROFS);
  return Answer::ok();
}

Answer Files::read(const Request& r) {
  return Answer::error(r.arg<fuse_read_in>()->fh == 0 ? ESRCH : EBADF);
}

// fs/proc/inode.c: a file without a write method.
Answer Files::write(const Request& r) {
  return Answer::error(is_read_only(parts_.tree.file(node_of(r).index())) ? EROFS : EIO);
}

Answer Files::release(const Request& r) {
  const auto* in = r.arg<fuse_release_in>();
  // First: whoever gives it a trigger at this moment looks afterwards whether it is still open.
  parts_.open_files.erase(in->fh, node_of(r));
  parts_.triggers.release(in->fh, node_of(r));
  return Answer::ok();
}

Answer Files::seek(const Request&) {
  // The kernel would remember ENOSYS, and ask no more where readers of logs seek.
  const bool has_logs = options().kernel_logs.logs != nullptr;
  return has_logs ? Answer::error(EINVAL) : Answer::tell(ENOSYS);
}

Answer Files::answer_poll(uint32_t events) const {
  // A file without a poll method, and every pressure file whatever else it says (fs/select.c).
  constexpr uint32_t kDefaultPollMask = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
  // The kernel remembers, and says of every file what it says of one without a poll method. Not
  // while triggers are here that an earlier version has taken: they would be told no more.
  if (!options().polls && parts_.triggers.size() == 0) return Answer::tell(ENOSYS);
  fuse_poll_out out{};
  out.revents = kDefaultPollMask | events;
  return Answer::of(out);
}

}  // namespace vprocfs
