#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "fuse/listing.h"
#include "fuse/server.h"

namespace vprocfs {
namespace {

/// Names below a CPU or node come and go with the host's hotplug only.
constexpr uint64_t kSettledSeconds = 1;

bool is_write(uint32_t flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0; }

/// Whether the "Groups:" line of a process's status names `gid`.
bool lists_group(std::string_view status, uint32_t gid) {
  constexpr std::string_view kKey = "\nGroups:\t";
  const size_t at = status.find(kKey);
  if (at == std::string_view::npos) return false;
  std::string_view line = status.substr(at + kKey.size());
  line = line.substr(0, line.find('\n'));
  const std::string wanted = std::to_string(gid);
  while (!line.empty()) {
    const size_t end = line.find(' ');
    if (line.substr(0, end) == wanted) return true;
    line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  }
  return false;
}

}  // namespace

std::optional<std::string> Server::mirror_path(NodeId node) {
  if (node.mirrored()) return mirror_.path(node.number());
  const TreeDir* dir = tree_.dir(node.index());
  if (dir == nullptr) return std::nullopt;
  return Mirror::root(dir->path);
}

Mirror::Ask Server::ask_of(const ContainerPtr& container) {
  if (!container) return nullptr;
  return [container](uint32_t needs) { return container->facts(needs, boottime_us()); };
}

bool Server::may_use(const Request& r, const struct stat& file, int mask) {
  const auto in_group = [&] {
    const auto status = host_.raw("proc/" + std::to_string(r.header().pid) + "/status");
    return status && lists_group(status.value(), file.st_gid);
  };
  return may_access(file, r.header().uid, r.header().gid, mask, in_group);
}

bool Server::may_reach(const Request& r, const std::string& path) {
  if (r.header().uid == 0) return true;
  for (size_t end = path.rfind('/'); end != std::string::npos && end > 0;
       end = path.rfind('/', end - 1)) {
    const auto above = mirror_.stat(path.substr(0, end));
    if (!above || !may_use(r, above.value(), X_OK)) return false;
    if (Mirror::root("sys/" + path.substr(0, end))) break;
  }
  return true;
}

fuse_attr Server::mirror_attr(NodeId node, const struct stat& from) const {
  fuse_attr attr{};
  attr.ino = node.raw();
  attr.size = static_cast<uint64_t>(from.st_size);
  attr.atime = static_cast<uint64_t>(from.st_atim.tv_sec);
  attr.mtime = static_cast<uint64_t>(from.st_mtim.tv_sec);
  attr.ctime = static_cast<uint64_t>(from.st_ctim.tv_sec);
  attr.atimensec = static_cast<uint32_t>(from.st_atim.tv_nsec);
  attr.mtimensec = static_cast<uint32_t>(from.st_mtim.tv_nsec);
  attr.ctimensec = static_cast<uint32_t>(from.st_ctim.tv_nsec);
  attr.mode = from.st_mode;
  attr.nlink = static_cast<uint32_t>(from.st_nlink);
  attr.uid = from.st_uid;
  attr.gid = from.st_gid;
  attr.blksize = 4096;
  return attr;
}

void Server::lookup_mirror_root(const Request& r, NodeId parent, NodeIndex index,
                                const std::string& path) {
  const auto found = mirror_.stat(path);
  // As with files: what is bound of a mirrored directory is that container's for ever.
  auto container = container_of(r, parent);
  if (!found || !container) return fail(r, ENOENT);
  const ContainerId id = container.value() ? container.value()->id() : ContainerId();
  const NodeId node(id, index);
  fuse_entry_out out{};
  out.nodeid = node.raw();
  out.attr = mirror_attr(node, found.value());
  out.entry_valid = parent.container().none() ? 0 : kForeverSeconds;
  out.attr_valid = kSettledSeconds;
  reply_.value(r.header().unique, out);
}

void Server::lookup_mirror(const Request& r, NodeId parent, const std::string& directory,
                           const std::string& name) {
  if (name.empty() || name == "." || name == ".." || SysfsTree::hidden(directory, name)) {
    reply_.error(r.header().unique, ENOENT);
    return;
  }
  auto container = container_of(r, parent);
  if (!container) return fail_lookup(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  in_turn(r, owner, [this, parent, owner, path = directory + "/" + name](const Request& req) {
    mirror_entry(req, parent, owner, path);
  });
}

void Server::mirror_entry(const Request& r, NodeId parent, const ContainerPtr& container,
                          const std::string& path) {
  const auto none = [&] { reply_.error(r.header().unique, ENOENT); };
  const auto found = mirror_.stat(path);
  if (!found) return none();
  const auto place = mirror_.place(path, ask_of(container));
  if (!place) return fail(r, place.error());
  if (!place.value()) return none();
  const auto number = mirror_.number(*place.value());
  const auto node =
      number ? NodeId::mirror(container ? container->id() : ContainerId(), *number) : std::nullopt;
  if (!node) return none();
  fuse_entry_out out{};
  out.nodeid = node->raw();
  out.attr = mirror_attr(*node, found.value());
  if (tick_ && container && S_ISREG(found.value().st_mode)) {
    mirror_snapshot_attr(*node, container, *place.value(), true, out.attr);
  } else {
    out.attr_valid = kSettledSeconds;
  }
  // What the next caller finds by the same name in a caller-identified directory is another's.
  if (!parent.container().none()) {
    if (!Mirror::depends(path)) {
      out.entry_valid = kSettledSeconds;
    } else if (tick_) {
      out.entry_valid = options_.tick_us / 1000000;
      out.entry_valid_nsec = static_cast<uint32_t>(options_.tick_us % 1000000 * 1000);
    }
  }
  reply_.value(r.header().unique, out);
}

Result<CachedTextPtr> Server::mirror_snapshot(NodeId node, const ContainerPtr& container,
                                              const std::string& path, bool any_age) {
  const uint64_t now = boottime_us();
  CachedTextPtr present = ContainerFiles::of(*container).mirror_text(node.number());
  if (present && (any_age || now < present->taken_us + options_.tick_us)) return present;
  counters_.renders.fetch_add(1, std::memory_order_relaxed);
  auto text = mirror_.text(path, ask_of(container));
  if (!text) return text.error();
  return ContainerFiles::of(*container)
      .set_mirror_text(node.number(), std::move(text.value()), Mirror::moves(path), now);
}

void Server::mirror_snapshot_attr(NodeId node, const ContainerPtr& container,
                                  const std::string& path, bool any_age, fuse_attr& attr) {
  constexpr uint64_t kNsPerSecond = 1000000000;
  const auto snapshot = mirror_snapshot(node, container, path, any_age);
  // What cannot be read has no content: the READ says why.
  if (!snapshot) return;
  attr.size = snapshot.value()->text.size();
  attr.mtime = attr.ctime = snapshot.value()->modified_ns / kNsPerSecond;
  attr.mtimensec = attr.ctimensec =
      static_cast<uint32_t>(snapshot.value()->modified_ns % kNsPerSecond);
}

void Server::getattr_mirror(const Request& r, NodeId node, const std::string& path) {
  const auto found = mirror_.stat(path);
  if (!found) return fail(r, ENOENT);
  fuse_attr_out out{};
  out.attr = mirror_attr(node, found.value());
  if (!tick_ || node.container().none() || !S_ISREG(found.value().st_mode)) {
    out.attr_valid = kSettledSeconds;
    reply_.value(r.header().unique, out);
    return;
  }
  auto container = container_of(r, node);
  if (!container) return fail(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  in_turn(r, owner, [this, node, owner, path, out](const Request& req) mutable {
    mirror_snapshot_attr(node, owner, path, false, out.attr);
    out.attr_valid = options_.tick_us / 1000000;
    out.attr_valid_nsec = static_cast<uint32_t>(options_.tick_us % 1000000 * 1000);
    reply_.value(req.header().unique, out);
  });
}

void Server::open_mirror(const Request& r, const fuse_open_in& in, NodeId node) {
  const auto path = mirror_path(node);
  const auto found = path ? mirror_.stat(*path) : Result<struct stat>(Error{ESTALE, ""});
  if (!found) return fail(r, found.error().code);
  const bool reads = (in.flags & O_ACCMODE) != O_WRONLY;
  const int mask = (reads ? R_OK : 0) | (is_write(in.flags) ? W_OK : 0);
  if (!may_use(r, found.value(), mask) || !may_reach(r, *path)) return fail(r, EACCES);
  // Nothing that a container writes ever gets to the host's file.
  if (is_write(in.flags)) return fail(r, EROFS);
  auto container = container_of(r, node);
  if (!container) return fail(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  in_turn(r, owner, [this, node, owner, path = *path](const Request& req) {
    if (full(owner)) return fail(req, ENFILE);
    const auto text = mirror_text(path, owner);
    if (!text) return fail(req, text.error().code);
    fuse_open_out out{};
    out.open_flags = FOPEN_DIRECT_IO;
    out.fh = open_files_.insert(std::make_shared<OpenFile>(node, nullptr, owner),
                                std::make_shared<Snapshot>(state_, text.value(), boottime_us()),
                                req.identity());
    if (!reply_.value(req.header().unique, out)) open_files_.erase(out.fh, node);
  });
}

Result<std::string> Server::mirror_text(const std::string& path, const ContainerPtr& container) {
  counters_.renders.fetch_add(1, std::memory_order_relaxed);
  return mirror_.text(path, ask_of(container));
}

void Server::read_mirror(const Request& r, const fuse_read_in& in, NodeId node) {
  if (tick_) {
    const auto path = mirror_path(node);
    auto container = registry_.by_id(node.container());
    if (!path || !container) return fail(r, ESTALE);
    const ContainerPtr owner = std::move(container.value());
    const auto answer = [this, node, owner, path = *path](const Request& req) {
      const auto* arg = req.arg<fuse_read_in>();
      const auto snapshot = mirror_snapshot(node, owner, path, true);
      if (!snapshot) return fail(req, snapshot.error().code);
      const auto bytes = OpenFiles::slice(snapshot.value()->text, arg->offset, arg->size);
      reply_.data(req.header().unique, bytes.data(), bytes.size());
    };
    if (ContainerFiles::of(*owner).mirror_text(node.number())) return answer(r);
    return in_turn(r, owner, answer);
  }
  // Not through the page cache: sizes are the kernel's own of sysfs, a page for whatever is in it.
  // sendfile(2) says EINVAL, as for sysfs before 5.11, and its users fall back to read(2).
  if ((in.read_flags & FUSE_READ_LOCKOWNER) == 0) return fail(r, EINVAL);
  const auto file = open_files_.find(in.fh, node);
  if (file && !OpenFiles::wants_renewal(*file, in.offset, boottime_us(), options_.tick_us)) {
    return read_file(r, file);
  }
  const auto path = mirror_path(node);
  auto container = file ? Result<ContainerPtr>(file->container) : container_of(r, node);
  if (!container || (!path && !file)) return fail(r, ESTALE);
  const ContainerPtr owner = std::move(container.value());
  in_turn(r, owner, [this, node, file, owner, path](const Request& req) {
    auto text = path ? mirror_text(*path, owner) : Result<std::string>(Error{ESTALE, ""});
    if (file) {
      // What cannot be renewed any more stays what it was: the last good snapshot.
      if (text) {
        open_files_.renew(
            *file, std::make_shared<Snapshot>(state_, std::move(text.value()), boottime_us()));
      }
      return read_file(req, file);
    }
    // A handle of a worker whose state was lost: the node says whose file it is.
    if (!text) return fail(req, text.error().code);
    const auto again = std::make_shared<OpenFile>(node, nullptr, owner);
    open_files_.restore(req.arg<fuse_read_in>()->fh, again,
                        std::make_shared<Snapshot>(state_, std::move(text.value()), boottime_us()));
    read_file(req, again);
  });
}

void Server::readdir_mirror(const Request& r, NodeId node, const std::string& path) {
  auto container = container_of(r, node);
  if (!container) return fail(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  in_turn(r, owner, [this, node, owner, path](const Request& req) {
    auto found = mirror_.list(path, ask_of(owner));
    if (!found) return fail(req, found.error().code);
    const auto* in = req.arg<fuse_read_in>();
    const TreeDir* dir = node.mirrored() ? nullptr : tree_.dir(node.index());
    const ContainerId id = owner ? owner->id() : ContainerId();
    Listing listing(in->size);
    bool room = true;
    if (in->offset < 1) room = listing.add(node.raw(), 1, S_IFDIR >> 12, ".");
    if (in->offset < 2) room = room && listing.add(kRootIndex, 2, S_IFDIR >> 12, "..");
    for (const SysfsEntry& entry : found.value()) {
      // Offsets are numbers, not positions: CPUs come and go between two calls.
      const uint64_t next = uint64_t{entry.number} + 3;
      if (next <= in->offset) continue;
      const TreeEntry* ours = dir == nullptr ? nullptr : dir->find(entry.name);
      const auto mirrored = NodeId::mirror(id, entry.number);
      if (ours == nullptr && !mirrored) continue;
      const NodeId ino = ours == nullptr ? *mirrored : NodeId(id, ours->index);
      room = room && listing.add(ino.raw(), next, entry.type >> 12, entry.name);
      if (!room) break;
    }
    reply_.data(req.header().unique, listing.bytes().data(), listing.bytes().size());
  });
}

void Server::opendir(const Request& r) {
  const NodeId node(r.header().nodeid);
  if (const auto path = mirror_path(node)) {
    const auto found = mirror_.stat(*path);
    if (!found) return fail(r, ENOENT);
    if (!may_use(r, found.value(), R_OK) || !may_reach(r, *path)) return fail(r, EACCES);
  }
  reply_.value(r.header().unique, fuse_open_out{});
}

void Server::readlink_mirror(const Request& r, NodeId node) {
  const auto path = mirror_path(node);
  const auto target = path ? mirror_.link(*path) : Result<std::string>(Error{ESTALE, ""});
  if (!target) return fail(r, target.error().code);
  reply_.data(r.header().unique, target.value().data(), target.value().size());
}

void Server::access_mirror(const Request& r, const fuse_access_in& in, const std::string& path) {
  const auto found = mirror_.stat(path);
  if (!found) return fail(r, ENOENT);
  const int mask = static_cast<int>(in.mask) & (R_OK | W_OK | X_OK);
  int code = 0;
  if (!may_use(r, found.value(), mask) || !may_reach(r, path)) {
    code = EACCES;
  } else if ((mask & W_OK) != 0) {
    code = EROFS;
  }
  code == 0 ? reply_.ok(r.header().unique) : reply_.error(r.header().unique, code);
}

}  // namespace vprocfs
