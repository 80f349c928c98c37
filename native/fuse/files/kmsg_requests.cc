#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/clock.h"
#include "fuse/files/kmsg_files.h"
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

Answer KmsgFiles::entry(const Request&, NodeId node, const ContainerPtr&, uint64_t valid_s) {
  const View& view = *parts_.tree.file(node.index());
  return entry_of(node, vprocfs::attributes_of(node, S_IFREG | view.mode, kUnknownSize), valid_s);
}

int KmsgFiles::check_open(const Request& r, const View& view,
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

Answer KmsgFiles::open(const Request& r) {
  // Who may is read from several files of the caller: it counts as a file made anew.
  return in_turn_of_owner(
      r, [this](const Request& req, auto& container) { return open_in_turn(req, container); });
}

Answer KmsgFiles::open_in_turn(const Request& r, const ContainerPtr& container) {
  const View& view = view_of(r);
  const int refused = check_open(r, view, container->description());
  if (refused != 0) return Answer::error(refused);
  if (parts_.full(container)) return Answer::error(ENFILE);
  // Who only writes may never do so: systemd keeps it open.
  if (reads(r.arg<fuse_open_in>()->flags)) begin_log(container->description());
  return finish_open(r, view, container);
}

void KmsgFiles::begin_log(const ContainerDescription& container) {
  logs_.begin(container.id, container.tenant_identity, [&] { return options_.banner(container); });
}

Answer KmsgFiles::finish_open(const Request& r, const View& view, const ContainerPtr& container) {
  const NodeId node = node_of(r);
  fuse_open_out out{};
  out.open_flags = FOPEN_DIRECT_IO;
  if (is_stream(view)) out.open_flags |= FOPEN_STREAM | FOPEN_NONSEEKABLE;
  take_over(node.container());
  FilePtr gone;  // after the lock
  const std::lock_guard lock(mutex_);
  const auto left = adopted_.find(r.identity());
  if (left != adopted_.end()) {
    gone = remove_locked(left->second, node);
    adopted_.erase(left);
  }
  const auto file =
      std::make_shared<KmsgFile>(parts_.state, node, view, container, ++next_handle_, r.identity());
  KmsgState begin;
  begin.cursor.next = logs_.ends(container->id()).first;
  file->change(begin);
  add_locked(file);
  out.fh = file->handle;
  return Answer::of(out).or_undo([this, handle = out.fh, node] {
    FilePtr closed;  // after the lock
    const std::lock_guard again(mutex_);
    closed = remove_locked(handle, node);
  });
}

fuse_attr_out KmsgFiles::attributes_locked(NodeId node, const View& view) const {
  fuse_attr_out out{};
  const uint64_t size = is_stream(view) ? 0 : kmsg_size(furthest_locked(node));
  out.attr = attributes_of(node, S_IFREG | view.mode, size);
  return out;
}

Answer KmsgFiles::attributes(const Request& r) {
  if (r.arg<fuse_getattr_in>() == nullptr) return Answer::error(EINVAL);
  take_over(node_of(r).container());
  return at_gate(r, opener_of(node_of(r).container()),
                 [this](const Request& req) { return attributes_in_turn(req); });
}

Answer KmsgFiles::attributes_in_turn(const Request& r) {
  const auto* in = r.arg<fuse_getattr_in>();
  const NodeId node = node_of(r);
  const View& view = view_of(r);
  const std::lock_guard lock(mutex_);
  const fuse_attr_out out = attributes_locked(node, view);
  if (!is_stream(view) && (in->getattr_flags & FUSE_GETATTR_FH) != 0) {
    // Nobody but lseek(SEEK_END) asks for it by an open file.
    if (const FilePtr file = find_locked(in->fh, node)) {
      KmsgState to = file->now();
      to.cursor.seek(logs_.ends(file->container->id()).next);
      file->change(to);
    }
  }
  return Answer::of(out);
}

bool KmsgFiles::may_write(const Request& r, const ContainerDescription& container) const {
  return access_.is_root(caller_of(r), container);
}

Answer KmsgFiles::set_attributes(const Request& r) {
  const auto* in = r.arg<fuse_setattr_in>();
  constexpr uint32_t kTruncates = FATTR_SIZE | FATTR_FH | FATTR_LOCKOWNER | FATTR_MTIME |
                                  FATTR_MTIME_NOW | FATTR_CTIME | FATTR_KILL_SUIDGID;
  // Truncating changes nothing, and succeeds for who may write.
  if ((in->valid & FATTR_SIZE) == 0 || (in->valid & ~kTruncates) != 0) {
    return Answer::error(EPERM);
  }
  return in_turn_of_owner(r, [this](const Request& req, auto& container) {
    if (!may_write(req, container->description())) return Answer::error(EACCES);
    const std::lock_guard lock(mutex_);
    return Answer::of(attributes_locked(node_of(req), view_of(req)));
  });
}

Answer KmsgFiles::access(const Request& r) {
  const uint32_t lacks = r.arg<fuse_access_in>()->mask & ~(view_of(r).mode & 07) & 07;
  if (lacks == 0) return Answer::ok();
  if ((lacks & X_OK) != 0) return Answer::tell(EACCES);
  const auto found = parts_.container_of(r, node_of(r));
  if (!found) return Answer::tell(EACCES);
  return in_turn(r, found.value(), [this, container = found.value()](const Request& req) {
    return may_write(req, container->description()) ? Answer::ok() : Answer::tell(EACCES);
  });
}

Answer KmsgFiles::read(const Request& r) {
  const auto* in = r.arg<fuse_read_in>();
  // These fill the page cache, as sendfile(2) and private mappings do: whoever tries it falls back
  // to read(2).
  if ((in->read_flags & FUSE_READ_LOCKOWNER) == 0) return Answer::error(EINVAL);
  return in_turn_of_file(r, in->fh, &KmsgFiles::read_in_turn);
}

Answer KmsgFiles::read_in_turn(const Request& r, const FilePtr& file) {
  const auto* in = r.arg<fuse_read_in>();
  const Read read{r.info(), in->offset, in->size};
  const std::lock_guard lock(mutex_);
  if (answer_locked(*file, read)) return Answer::elsewhere();
  // The flags of the moment, not those of open(2).
  if ((in->flags & O_NONBLOCK) != 0) return Answer::tell(EAGAIN);
  if (!may_park_locked(*file)) return Answer::error(ENOMEM);
  park_locked(read, file);
  return Answer::elsewhere();
}

Answer KmsgFiles::write(const Request& r) {
  const auto* in = r.arg<fuse_write_in>();
  if (is_stream(view_of(r))) return Answer::error(EIO);  // it has no write method
  if (in->size > kLongestWritten) return Answer::error(EINVAL);
  return in_turn_of_file(r, in->fh, &KmsgFiles::write_in_turn);
}

Answer KmsgFiles::write_in_turn(const Request& r, const FilePtr& file) {
  begin_log(file->container->description());
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
  if (!done && file->container->tenant().log_writes.take(boottime_us())) {
    to.request = r.identity();
    to.before.next = logs_.ends(file->container->id()).next;
    if (!again) file->change(to);
    logs_.write(file->container->id(), line);
  }
  return Answer::of(out);
}

Answer KmsgFiles::seek(const Request& r) {
  const auto* in = r.arg<fuse_lseek_in>();
  if (in == nullptr) return Answer::error(EINVAL);
  return in_turn_of_file(r, in->fh, &KmsgFiles::seek_in_turn);
}

Answer KmsgFiles::seek_in_turn(const Request& r, const FilePtr& file) {
  const auto* in = r.arg<fuse_lseek_in>();
  const std::lock_guard lock(mutex_);
  if (in->offset != 0) return Answer::error(ESPIPE);
  if (in->whence != SEEK_DATA || is_stream(file->view)) return Answer::error(EINVAL);
  const auto marks = logs_.marks(file->container->id());
  KmsgState to = file->now();
  to.cursor.seek(marks ? marks->cleared : 0);
  file->change(to);
  fuse_lseek_out out{};
  out.offset = kSeekDataOffset;
  return Answer::of(out);
}

Answer KmsgFiles::poll(const Request& r) {
  const auto* in = r.arg<fuse_poll_in>();
  return in_turn_of_file(r, in->fh, &KmsgFiles::poll_in_turn);
}

Answer KmsgFiles::poll_in_turn(const Request& r, const FilePtr& file) {
  const auto* in = r.arg<fuse_poll_in>();
  fuse_poll_out out{};
  const std::lock_guard lock(mutex_);
  if ((in->flags & FUSE_POLL_SCHEDULE_NOTIFY) != 0) {
    ++file->times_asked;
    KmsgState to = file->now();
    to.poll_handle = in->kh;
    if (file->now().poll_handle != in->kh) file->change(to);
  }
  out.revents = events_locked(*file);
  return Answer::of(out);
}

Answer KmsgFiles::release(const Request& r) {
  const auto* in = r.arg<fuse_release_in>();
  FilePtr gone;  // after the lock
  {
    const std::lock_guard lock(mutex_);
    gone = remove_locked(in->fh, node_of(r));
    if (!gone) drop_left_locked(in->fh, node_of(r));
  }
  return Answer::ok();
}

}  // namespace vprocfs
