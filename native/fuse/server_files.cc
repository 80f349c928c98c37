#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fuse/server.h"

namespace vprocfs {
ContainerFiles::LastOpen Server::last_open(const ContainerPtr& container, const View& view) {
  if (container) return ContainerFiles::of(*container).last_open(options_.connection, view.index);
  const std::lock_guard lock(host_opens_mutex_);
  const auto it = host_opens_.find(view.index);
  return it == host_opens_.end() ? ContainerFiles::LastOpen{} : it->second;
}

bool Server::in_one_process(uint32_t thread, uint32_t other) const {
  const std::string path = "proc/" + std::to_string(thread) + "/task/" + std::to_string(other);
  return thread != 0 && other != 0 && host_.raw(path + "/comm").ok();
}

void Server::getattr_file(const Request& r, NodeId node, const View& view,
                          const ContainerPtr& container) {
  if (tick_ && container && !node.container().none()) {
    return tick_attributes(r, node, view, container);
  }
  if (cacheable(node, view)) return cached_attributes(r, node, view, container);
  // fstat(2) of what the caller has open must tell of the snapshot it will read: tail(1) and others
  // seek by it.
  const auto last = last_open(container, view);
  const auto file = open_files_.find(last.handle, node);
  // libuv and others ask in another thread than they open in, and read no more than they are told.
  if (file && (last.pid == r.header().pid || in_one_process(last.pid, r.header().pid))) {
    const uint64_t size = file->tell_size();
    if (container) ContainerFiles::of(*container).told_size(options_.connection, view.index) = size;
    fuse_attr_out out{};
    out.attr = attributes(node, &view, size);
    reply_.value(r.header().unique, out);
    return;
  }
  auto text = render(view, container);
  // A file that says EOPNOTSUPP is there all the same.
  const bool refused = !text && text.error().code == EOPNOTSUPP;
  if (!text && !refused) return fail(r, text.error());
  const uint64_t size = refused ? kUnknownSize : text.value().size();
  if (container) ContainerFiles::of(*container).told_size(options_.connection, view.index) = size;
  fuse_attr_out out{};
  out.attr = attributes(node, &view, size);
  reply_.value(r.header().unique, out);
}

bool Server::full(const ContainerPtr& container) {
  if (!container) return false;
  Stake& stake = container->tenant().stake();
  const bool no_file = stake.spent(Resource::kOpenFiles);
  if (!no_file && !stake.spent(Resource::kHeldBytes)) return false;
  stake.refuse(no_file ? Resource::kOpenFiles : Resource::kHeldBytes);
  counters_.refused_opens.fetch_add(1, std::memory_order_relaxed);
  container->refused.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Server::open(const Request& r) {
  if (tick_) {
    // The kernel remembers: from now on it opens, reads from its cache and closes without us.
    reply_.error(r.header().unique, ENOSYS);
    return;
  }
  const auto* in = r.arg<fuse_open_in>();
  const NodeId node(r.header().nodeid);
  if (node.mirrored()) return open_mirror(r, *in, node);
  const View* view = tree_.file(node.index());
  if (view == nullptr) return fail(r, ENOENT);
  // The kernel leaves permissions to us. As for proc's files, only root passes where bits forbid.
  const bool wants_write = (in->flags & O_ACCMODE) != O_RDONLY;
  const bool may_write = (view->mode & 0002) != 0;
  const bool may_read = (view->mode & 0004) != 0;
  if (r.header().uid != 0 && ((wants_write && !may_write) || !may_read)) return fail(r, EACCES);
  auto container = container_of(r, node);
  if (!container) return fail(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  in_turn(r, owner, [this, view, owner](const Request& req) { open_file(req, *view, owner); });
}

void Server::open_file(const Request& r, const View& view, const ContainerPtr& container) {
  if (cacheable(NodeId(r.header().nodeid), view)) return open_cached(r, view, container);
  if (full(container)) return fail(r, ENFILE);
  const auto clock = clock_of(r, view, container);
  auto text = render(view, container, clock);
  if (!text) return fail(r, text.error());
  finish_open(r, std::make_shared<OpenFile>(NodeId(r.header().nodeid), &view, container, clock),
              std::move(text.value()));
}

void Server::finish_open(const Request& r, const std::shared_ptr<OpenFile>& file,
                         std::string text) {
  const uint64_t size = text.size();
  const char last = text.empty() ? '\n' : text.back();
  fuse_open_out out{};
  out.open_flags = FOPEN_DIRECT_IO;
  out.fh = open_files_.insert(
      file, std::make_shared<Snapshot>(state_, std::move(text), boottime_us()), r.identity());
  const NodeId node = file->node;
  const auto answer = [this, unique = r.header().unique, out, node] {
    if (!reply_.value(unique, out)) open_files_.erase(out.fh, node);  // nobody is there to close it
  };
  if (!file->container) {
    {
      const std::lock_guard lock(host_opens_mutex_);
      host_opens_[file->view->index] = {out.fh, r.header().pid};
    }
    return answer();
  }
  ContainerFiles::of(*file->container)
      .set_last_open(options_.connection, file->view->index, {out.fh, r.header().pid});
  if (node.container().none()) return answer();
  auto& told =
      ContainerFiles::of(*file->container).told_size(options_.connection, file->view->index);
  if (told.load() >= size) return answer();
  told = size;
  notifier_.post(lane_of(*file->container), [this, node, size, last, answer] {
    reply_.notify_grow(node.raw(), size, last);
    answer();
  });
}

void Server::cached_bytes(const Request& r, const View& view, const ContainerPtr& container) {
  if (tick_) return tick_read(r, view, container);
  cached_read(r, view, container);
}

void Server::read(const Request& r) {
  const auto* in = r.arg<fuse_read_in>();
  const NodeId node(r.header().nodeid);
  // Reads without a lock owner fill the page cache (sendfile, splice, mmap). What one caller sees
  // of a caller-identified node must not be there for the next one; sendfile(2) says EINVAL for
  // files that cannot, and its users fall back to read(2).
  const bool cached = (in->read_flags & FUSE_READ_LOCKOWNER) == 0;
  if (cached && node.container().none()) return fail(r, EINVAL);
  if (node.mirrored()) return read_mirror(r, *in, node);
  if (tick_ || in->fh == kCachedHandle) {
    const View* view = tree_.file(node.index());
    auto container = view == nullptr ? Error{ENOENT, ""} : registry_.by_id(node.container());
    if (!container) return fail(r, container.error());
    const ContainerPtr owner = std::move(container.value());
    if (ContainerFiles::of(*owner).cached_text(view->index)) {
      owner->requests.fetch_add(1, std::memory_order_relaxed);
      return cached_bytes(r, *view, owner);
    }
    // After a takeover there is none yet, and making one may block.
    return in_turn(r, owner,
                   [this, view, owner](const Request& req) { cached_bytes(req, *view, owner); });
  }
  const auto file = open_files_.find(in->fh, node);
  if (!file) return reopen(r);
  if (!cached && OpenFiles::wants_renewal(*file, in->offset, boottime_us(), options_.tick_us)) {
    return in_turn(r, file->container, [this, file](const Request& req) {
      auto text = render(*file->view, file->container, file->clock);
      // What cannot be renewed any more stays what it was: the last good snapshot.
      if (text) {
        open_files_.renew(
            *file, std::make_shared<Snapshot>(state_, std::move(text.value()), boottime_us()));
      }
      read_file(req, file);
    });
  }
  if (file->container) file->container->requests.fetch_add(1, std::memory_order_relaxed);
  read_file(r, file);
}

void Server::read_file(const Request& r, const std::shared_ptr<OpenFile>& file) {
  const auto* in = r.arg<fuse_read_in>();
  const auto snapshot = file->snapshot();
  const std::string_view bytes = OpenFiles::slice(snapshot->text(), in->offset, in->size);
  const bool cached = (in->read_flags & FUSE_READ_LOCKOWNER) == 0;
  if (cached && bytes.size() < in->size && file->container) {
    // The kernel takes a short read of the cache for the end of the file.
    ContainerFiles::of(*file->container).told_size(options_.connection, file->view->index) =
        snapshot->text().size();
  }
  reply_.data(r.header().unique, bytes.data(), bytes.size());
}

void Server::reopen(const Request& r) {
  // A handle of a worker whose state was lost: the node says whose file it is.
  const NodeId node(r.header().nodeid);
  const View* view = tree_.file(node.index());
  if (view == nullptr) return fail(r, EBADF);
  auto container = container_of(r, node);
  if (!container) return fail(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  in_turn(r, owner, [this, view, node, owner](const Request& req) {
    const auto clock = clock_of(req, *view, owner);
    auto text = render(*view, owner, clock);
    if (!text) return fail(req, text.error());
    const auto file = std::make_shared<OpenFile>(node, view, owner, clock);
    open_files_.restore(req.arg<fuse_read_in>()->fh, file,
                        std::make_shared<Snapshot>(state_, std::move(text.value()), boottime_us()));
    read_file(req, file);
  });
}

void Server::entry(const Request& r, NodeId node, const View* view, uint64_t size,
                   uint64_t valid_s) {
  fuse_entry_out out{};
  if (tick_ && view != nullptr && !node.container().none()) {
    // Attributes are of the snapshot that is in the page cache: any others would empty it.
    auto container = registry_.by_id(node.container());
    auto snapshot = container ? tick_snapshot(*view, container.value(), true)
                              : Result<CachedTextPtr>(container.error());
    const bool refused = !snapshot && snapshot.error().code == EOPNOTSUPP;
    if (!snapshot && !refused) return fail(r, ENOENT);
    out.attr =
        refused ? attributes(node, view, kUnknownSize) : tick_attr(node, *view, *snapshot.value());
  } else {
    out.attr = attributes(node, view, size);
  }
  out.nodeid = node.raw();
  out.entry_valid = valid_s;
  out.attr_valid = view == nullptr ? valid_s : 0;
  reply_.value(r.header().unique, out);
}

void Server::entry_of(const Request& r, const ContainerPtr& container, const TreeEntry& found,
                      uint64_t valid_s) {
  // In tick attributes are of a snapshot: taking the first one may block.
  if (!tick_ || ContainerFiles::of(*container).cached_text(found.view->index)) {
    return answer_entry(r, *container, found, valid_s);
  }
  in_turn(r, container, [this, container, &found, valid_s](const Request& req) {
    answer_entry(req, *container, found, valid_s);
  });
}

void Server::answer_entry(const Request& r, Container& container, const TreeEntry& found,
                          uint64_t valid_s) {
  auto& told = ContainerFiles::of(container).told_size(options_.connection, found.view->index);
  if (told == 0) told = kUnknownSize;
  const NodeId node(container.id(), found.index);
  // The size of what the kernel caches must not change with a look-up.
  const CachedTextPtr cached = cacheable(node, *found.view)
                                   ? ContainerFiles::of(container).cached_text(found.view->index)
                                   : CachedTextPtr();
  entry(r, node, found.view, cached ? cached->text.size() : told.load(), valid_s);
}

void Server::lookup_entry(const Request& r, NodeId parent, const TreeEntry& found) {
  const ContainerId parent_container = parent.container();
  const TreeDir* mirrored = found.view == nullptr ? tree_.dir(found.index) : nullptr;
  if (mirrored != nullptr) {
    const auto path = Mirror::root(mirrored->path);
    if (path) return lookup_mirror_root(r, parent, found.index, *path);
  }
  if (found.view == nullptr) {  // a directory or a link
    return entry(r, NodeId(parent_container, found.index), nullptr, 0, kForeverSeconds);
  }
  if (!parent_container.none()) {
    auto container = registry_.by_id(parent_container);
    if (!container) return fail_lookup(r, container.error());
    return entry_of(r, container.value(), found, kForeverSeconds);
  }
  // The caller-identified tree: every caller gets its own container's node, so that what is bound
  // or cached under it is that container's for ever. Never cached, since the next caller differs.
  auto container = registry_.by_process(static_cast<pid_t>(r.header().pid));
  if (!container) return fail_lookup(r, container.error());
  // The host's own log is not ours to give.
  if (!container.value() && is_of_log(*found.view)) return fail(r, ENOENT);
  if (!container.value()) return entry(r, NodeId({}, found.index), found.view, kUnknownSize, 0);
  entry_of(r, container.value(), found, 0);
}

}  // namespace vprocfs
