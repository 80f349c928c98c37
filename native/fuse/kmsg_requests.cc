#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "base/clock.h"
#include "fuse/kmsg.h"
#include "klog/host_log.h"
#include "klog/kmsg_text.h"

namespace vprocfs {
namespace {

bool reads(uint32_t flags) { return (flags & O_ACCMODE) != O_WRONLY; }
bool writes(uint32_t flags) { return (flags & O_ACCMODE) != O_RDONLY; }

LogCaller caller_of(const Request& r) {
  return {static_cast<pid_t>(r.header().pid), r.header().uid};
}

/// What the log's clock shows in a container at the moment.
uint64_t log_clock_us(const ContainerDescription& container) {
  const int64_t now = static_cast<int64_t>(boottime_us()) -
                      static_cast<int64_t>(log_clock_behind_us()) + container.boottime_offset_us;
  return static_cast<uint64_t>(std::max<int64_t>(now, 0));
}

}  // namespace

bool Kmsg::handle(const Request& r, const View& view) {
  switch (r.header().opcode) {
    case FUSE_GETATTR:
      return getattr(r, view), true;
    case FUSE_SETATTR:
      return setattr(r, view), true;
    case FUSE_ACCESS:
      return access(r, view), true;
    case FUSE_OPEN:
      return open(r, view), true;
    case FUSE_READ:
      return read(r, view), true;
    case FUSE_WRITE:
      return write(r, view), true;
    case FUSE_LSEEK:
      return seek(r, view), true;
    case FUSE_POLL:
      return poll(r, view), true;
    case FUSE_RELEASE:
      return release(r), true;
    default:
      return false;
  }
}

int Kmsg::check_open(const Request& r, const View& view,
                     const ContainerDescription& container) const {
  const auto* in = r.arg<fuse_open_in>();
  const bool reading = reads(in->flags), writing = writes(in->flags);
  // First the mode, then what the file itself asks for.
  const bool forbidden = (reading && (view.mode & 0004) == 0) || writing;
  const LogCaller caller = caller_of(r);
  if (forbidden && !access_.is_root(caller, container)) return EACCES;
  const bool always = (view.mode & 0004) == 0;
  if (!reading || (!always && !access_.is_restricted())) return 0;
  return access_.has_syslog(caller, container) ? 0 : EPERM;
}

void Kmsg::open(const Request& r, const View& view) {
  const auto* in = r.arg<fuse_open_in>();
  if (in == nullptr) return uses_.fail(r, EINVAL);
  auto found = uses_.registry.by_id(NodeId(r.header().nodeid).container());
  if (!found) return uses_.fail_with(r, found.error());
  const ContainerPtr container = std::move(found.value());
  const int refused = check_open(r, view, container->description());
  if (refused != 0) return uses_.fail(r, refused);
  if (uses_.full(container)) return uses_.fail(r, ENFILE);
  container->requests.fetch_add(1, std::memory_order_relaxed);
  const auto finish = [this, &view, container](const Request& req) {
    finish_open(req, view, container);
  };
  // Who only writes may never do so: systemd keeps it open.
  if (!reads(in->flags)) return finish(r);
  with_log(r, container, finish);
}

void Kmsg::with_log(const Request& r, const ContainerPtr& container, const Work& work) {
  if (logs_.marks(container->id())) return work(r);
  uses_.in_turn(r, container, [this, container, work](const Request& req) {
    const ContainerDescription& description = container->description();
    logs_.begin(description.id, description.tenant,
                [&] { return uses_.place.banner(description); });
    work(req);
  });
}

void Kmsg::finish_open(const Request& r, const View& view, const ContainerPtr& container) {
  const NodeId node(r.header().nodeid);
  fuse_open_out out{};
  out.open_flags = FOPEN_DIRECT_IO;
  if (view.index == kProcKmsg.index) out.open_flags |= FOPEN_STREAM | FOPEN_NONSEEKABLE;
  FilePtr gone;  // after the lock
  const std::lock_guard lock(mutex_);
  const auto left = left_.find(r.identity());
  if (left != left_.end()) {
    gone = remove_locked(left->second, node);
    left_.erase(left);
  }
  const auto file =
      std::make_shared<KmsgFile>(uses_.state, node, view, container, ++next_handle_, r.identity());
  KernelLogs::Page page;
  logs_.read(container->id(), 0, 0, page);
  KmsgState begin;
  begin.cursor.next = page.first;
  file->change(begin);
  add_locked(file);
  out.fh = file->handle;
  if (!uses_.reply.value(r.header().unique, out)) remove_locked(file->handle, node);
}

void Kmsg::getattr(const Request& r, const View& view) {
  const auto* in = r.arg<fuse_getattr_in>();
  if (in == nullptr) return uses_.fail(r, EINVAL);
  const NodeId node(r.header().nodeid);
  fuse_attr_out out{};
  const std::lock_guard lock(mutex_);
  const bool stream = view.index == kProcKmsg.index;
  out.attr = uses_.attributes(node, view, stream ? 0 : kmsg_size(furthest_locked(node)));
  if (!stream && (in->getattr_flags & FUSE_GETATTR_FH) != 0) {
    // Nobody but lseek(SEEK_END) asks for it by an open file.
    if (const FilePtr file = find_locked(in->fh, node)) {
      KernelLogs::Page page;
      logs_.read(file->container->id(), 0, 0, page);
      KmsgState to = file->now();
      to.cursor.seek(page.next);
      file->change(to);
    }
  }
  uses_.reply.value(r.header().unique, out);
}

bool Kmsg::may_write(const Request& r, const ContainerDescription& container) const {
  return access_.is_root(caller_of(r), container);
}

void Kmsg::setattr(const Request& r, const View& view) {
  const auto* in = r.arg<fuse_setattr_in>();
  constexpr uint32_t kTruncates = FATTR_SIZE | FATTR_FH | FATTR_LOCKOWNER | FATTR_MTIME |
                                  FATTR_MTIME_NOW | FATTR_CTIME | FATTR_KILL_SUIDGID;
  // Truncating changes nothing, and succeeds for who may write.
  if (in == nullptr || (in->valid & FATTR_SIZE) == 0 || (in->valid & ~kTruncates) != 0) {
    return uses_.fail(r, EPERM);
  }
  const NodeId node(r.header().nodeid);
  const auto container = uses_.registry.by_id(node.container());
  if (!container) return uses_.fail_with(r, container.error());
  if (!may_write(r, container.value()->description())) return uses_.fail(r, EACCES);
  fuse_attr_out out{};
  const std::lock_guard lock(mutex_);
  const bool stream = view.index == kProcKmsg.index;
  out.attr = uses_.attributes(node, view, stream ? 0 : kmsg_size(furthest_locked(node)));
  uses_.reply.value(r.header().unique, out);
}

void Kmsg::access(const Request& r, const View& view) {
  const auto* in = r.arg<fuse_access_in>();
  if (in == nullptr) return uses_.fail(r, EINVAL);
  uint32_t allowed = view.mode & 07;
  if ((in->mask & ~allowed & (R_OK | W_OK)) != 0) {
    const auto container = uses_.registry.by_id(NodeId(r.header().nodeid).container());
    if (container && may_write(r, container.value()->description())) allowed |= R_OK | W_OK;
  }
  if ((in->mask & ~allowed & 07) != 0) {
    uses_.reply.error(r.header().unique, EACCES);
    return;
  }
  uses_.reply.ok(r.header().unique);
}

void Kmsg::read(const Request& r, const View& view) {
  const auto* in = r.arg<fuse_read_in>();
  if (in == nullptr) return uses_.fail(r, EINVAL);
  // These fill the page cache, as sendfile(2) and private mappings do: whoever tries it falls back
  // to read(2).
  if ((in->read_flags & FUSE_READ_LOCKOWNER) == 0) return uses_.fail(r, EINVAL);
  const std::lock_guard lock(mutex_);
  const FilePtr file = find_or_restore_locked(in->fh, NodeId(r.header().nodeid), view);
  if (!file) return uses_.fail(r, EBADF);
  file->container->requests.fetch_add(1, std::memory_order_relaxed);
  const Read read{r.header().unique, in->offset, in->size};
  if (answer_locked(*file, read)) return;
  // The flags of the moment, not those of open(2).
  if ((in->flags & O_NONBLOCK) != 0) {
    uses_.reply.error(r.header().unique, EAGAIN);
    return;
  }
  if (!may_park_locked(*file)) return uses_.fail(r, ENOMEM);
  r.park();
  park_locked(read, file);
}

void Kmsg::write(const Request& r, const View& view) {
  const auto* in = r.arg<fuse_write_in>();
  if (in == nullptr || in->size > r.payload_size() - sizeof(*in)) return uses_.fail(r, EINVAL);
  if (view.index == kProcKmsg.index) return uses_.fail(r, EIO);  // it has no write method
  if (in->size > kLongestWritten) return uses_.fail(r, EINVAL);
  FilePtr file;
  {
    const std::lock_guard lock(mutex_);
    file = find_or_restore_locked(in->fh, NodeId(r.header().nodeid), view);
  }
  if (!file) return uses_.fail(r, EBADF);
  file->container->requests.fetch_add(1, std::memory_order_relaxed);
  with_log(r, file->container, [this, file](const Request& req) { append(req, file); });
}

void Kmsg::append(const Request& r, const FilePtr& file) {
  const auto* in = r.arg<fuse_write_in>();
  const auto* bytes = reinterpret_cast<const char*>(r.payload() + sizeof(*in));
  const WrittenText written = parse_written({bytes, in->size});
  OwnLine line;
  line.priority = written.priority;
  line.text = std::string(written.text);
  line.time_us = log_clock_us(file->container->description());
  fuse_write_out out{};
  out.size = in->size;
  const std::lock_guard lock(mutex_);
  KmsgState to = file->now();
  const bool again = to.request == r.identity();
  const bool done = again && was_written_locked(*file, line);
  // As the kernel: who writes too much is told that it was written.
  if (!done && take_allowance_locked(file->container->tenant().id())) {
    KernelLogs::Page page;
    logs_.read(file->container->id(), 0, 0, page);
    to.request = r.identity();
    to.before.next = page.next;
    if (!again) file->change(to);
    logs_.write(file->container->id(), line);
  }
  uses_.reply.value(r.header().unique, out);
}

void Kmsg::seek(const Request& r, const View& view) {
  const auto* in = r.arg<fuse_lseek_in>();
  if (in == nullptr) return uses_.fail(r, EINVAL);
  const std::lock_guard lock(mutex_);
  const FilePtr file = find_or_restore_locked(in->fh, NodeId(r.header().nodeid), view);
  if (!file) return uses_.fail(r, EBADF);
  if (in->offset != 0) return uses_.fail(r, ESPIPE);
  if (in->whence != SEEK_DATA || view.index == kProcKmsg.index) return uses_.fail(r, EINVAL);
  const auto marks = logs_.marks(file->container->id());
  KmsgState to = file->now();
  to.cursor.seek(marks ? marks->cleared : 0);
  file->change(to);
  fuse_lseek_out out{};
  out.offset = kSoughtOffset;
  uses_.reply.value(r.header().unique, out);
}

void Kmsg::poll(const Request& r, const View& view) {
  const auto* in = r.arg<fuse_poll_in>();
  if (in == nullptr) return uses_.fail(r, EINVAL);
  fuse_poll_out out{};
  const std::lock_guard lock(mutex_);
  const FilePtr file = find_or_restore_locked(in->fh, NodeId(r.header().nodeid), view);
  if (!file) return uses_.fail(r, EBADF);
  if ((in->flags & FUSE_POLL_SCHEDULE_NOTIFY) != 0 && file->now().poll_handle != in->kh) {
    KmsgState to = file->now();
    to.poll_handle = in->kh;
    file->change(to);
  }
  out.revents = events_locked(*file);
  uses_.reply.value(r.header().unique, out);
}

void Kmsg::release(const Request& r) {
  const auto* in = r.arg<fuse_release_in>();
  FilePtr gone;  // after the lock
  {
    const std::lock_guard lock(mutex_);
    if (in != nullptr) gone = remove_locked(in->fh, NodeId(r.header().nodeid));
  }
  uses_.reply.ok(r.header().unique);
}

}  // namespace vprocfs
