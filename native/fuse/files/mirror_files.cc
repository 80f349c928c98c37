#include "fuse/files/mirror_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#include "base/affix.h"
#include "fuse/files/listing.h"
#include "source/process_status.h"

namespace vprocfs {
namespace {

/// Names below a CPU or node come and go with the host's hotplug only.
constexpr uint64_t kSettledSeconds = 1;

bool is_write(uint32_t flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0; }

/// Why a file cannot be written. udevadm(8) takes EROFS of a "uevent" for that of all sysfs and
/// leaves out all other devices; it goes on where the device is gone.
int read_only_errno(std::string_view path) {
  constexpr std::string_view kUevent = "/uevent";
  return ends_with(path, kUevent) ? ENODEV : EROFS;
}

/// What a LOOKUP says of a path that fstatat(2) fails for: that it is not there only if it is not.
int absence(const Error& error) { return error.code == ENOMEM ? ENOMEM : ENOENT; }

/// Whether a process with this status is in group `gid`.
bool lists_group(std::string_view status, uint32_t gid) {
  const std::vector<uint64_t> groups = status_numbers(status, "Groups");
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

}  // namespace

std::optional<std::string> MirrorFiles::path_of(NodeId node) {
  if (node.mirrored()) return mirror_.path(node.number());
  const TreeDir* dir = parts_.tree.dir(node.index());
  if (dir == nullptr) return std::nullopt;
  return Mirror::root(dir->path);
}

Mirror::Ask MirrorFiles::ask_of(const ContainerPtr& container) {
  if (!container) return nullptr;
  return [container](uint32_t needs) { return container->facts(needs, boottime_us()); };
}

bool MirrorFiles::may_use(const Request& r, const struct stat& file, int mask) {
  const auto in_group = [&] {
    const auto status = parts_.host.status_of(r.header().pid);
    return status && lists_group(status.value(), file.st_gid);
  };
  return may_access(file, r.header().uid, r.header().gid, mask, in_group);
}

bool MirrorFiles::may_reach(const Request& r, const std::string& path) {
  if (r.header().uid == 0) return true;
  for (size_t end = path.rfind('/'); end != std::string::npos && end > 0;
       end = path.rfind('/', end - 1)) {
    const auto above = mirror_.stat(path.substr(0, end));
    if (!above || !may_use(r, above.value(), X_OK)) return false;
    if (Mirror::root("sys/" + path.substr(0, end))) break;
  }
  return true;
}

fuse_attr MirrorFiles::mirror_attr(NodeId node, const struct stat& from) {
  fuse_attr attr{};
  attr.ino = node.inode();
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

Answer MirrorFiles::entry(const Request& r, NodeId root, const ContainerPtr&, uint64_t) {
  const NodeId parent = node_of(r);
  const auto path = path_of(root);
  const auto found = path ? mirror_.stat(*path) : Result<struct stat>(Error{ESTALE, ""});
  // As with files: what is bound of a mirrored directory is that container's for ever.
  auto container = parts_.container_of(r, parent);
  if (!found) return Answer::error(absence(found.error()));
  if (!container) return no_owner(parent, container.error());
  const ContainerId id = container.value() ? container.value()->id() : ContainerId();
  const NodeId node(id, root.index());
  fuse_entry_out out{};
  out.nodeid = node.raw();
  out.attr = mirror_attr(node, found.value());
  out.entry_valid = parent.container().none() ? 0 : kForeverSeconds;
  out.attr_valid = kSettledSeconds;
  return Answer::of(out);
}

Answer MirrorFiles::lookup(const Request& r) {
  const std::string name = name_of(r);
  const NodeId parent = node_of(r);
  const TreeDir* dir = parent.mirrored() ? nullptr : parts_.tree.dir(parent.index());
  // Some files below are of the view table.
  if (dir != nullptr && dir->find(name) != nullptr) return directories_.lookup(r);
  const auto directory = path_of(parent);
  if (!directory) return Files::lookup(r);
  if (name.empty() || name == "." || name == ".." || SysfsTree::hidden(*directory, name)) {
    return Answer::tell(ENOENT);
  }
  auto container = parts_.container_of(r, parent);
  if (!container) return no_owner(parent, container.error());
  const ContainerPtr owner = std::move(container.value());
  const std::string path = *directory + "/" + name;
  return in_turn_of_directory(r, owner, [this, parent, owner, path](const Request&) {
    return found_entry(parent, owner, path);
  });
}

Answer MirrorFiles::found_entry(NodeId parent, const ContainerPtr& container,
                                const std::string& path) {
  const auto found = mirror_.stat(path);
  if (!found) return Answer::tell(absence(found.error()));
  const auto place = mirror_.place(path, ask_of(container));
  if (!place) return Answer::error(place.error());
  if (!place.value()) return Answer::tell(ENOENT);
  const auto number = mirror_.number(*place.value());
  const auto node =
      number ? NodeId::mirror(container ? container->id() : ContainerId(), *number) : std::nullopt;
  if (!node) return Answer::tell(ENOENT);
  fuse_entry_out out{};
  out.nodeid = node->raw();
  out.attr = mirror_attr(*node, found.value());
  out.attr_valid = kSettledSeconds;
  // What the next caller finds by the same name in a caller-identified directory is another's.
  const bool keeps = !parent.container().none();
  if (keeps && !Mirror::depends(path)) out.entry_valid = kSettledSeconds;
  complete_entry(*node, container, *place.value(), keeps && Mirror::depends(path), out);
  return Answer::of(out);
}

Answer MirrorFiles::attributes(const Request& r) {
  const NodeId node = node_of(r);
  const auto path = path_of(node);
  if (!path) return Answer::error(ESTALE);
  const auto found = mirror_.stat(*path);
  if (!found) return Answer::error(ENOENT);
  fuse_attr_out out{};
  out.attr = mirror_attr(node, found.value());
  out.attr_valid = kSettledSeconds;
  return complete_attributes(r, node, *path, out);
}

Answer MirrorFiles::complete_attributes(const Request&, NodeId, const std::string&,
                                        const fuse_attr_out& out) {
  return Answer::of(out);
}

void MirrorFiles::complete_entry(NodeId, const ContainerPtr&, const std::string&, bool,
                                 fuse_entry_out&) {}

Answer MirrorFiles::truncate(const Request& r) {
  return node_of(r).mirrored() ? Answer::error(EROFS) : Files::truncate(r);
}

Answer MirrorFiles::refuse_creation(const Request& r) {
  return Answer::error(path_of(node_of(r)) ? EACCES : ENOENT);
}

Answer MirrorFiles::refuse_name(const Request& r) {
  // sysfs has no such methods (fs/namei.c).
  if (!path_of(node_of(r))) return Answer::error(ENOENT);
  return Answer::error(r.header().uid == 0 ? EPERM : EACCES);
}

Answer MirrorFiles::write(const Request& r) {
  const NodeId node = node_of(r);
  if (!node.mirrored()) return Files::write(r);
  const auto path = path_of(node);
  return Answer::error(path ? read_only_errno(*path) : ESTALE);
}

Answer MirrorFiles::open(const Request& r) {
  const auto& in = *r.arg<fuse_open_in>();
  const NodeId node = node_of(r);
  const auto path = path_of(node);
  const auto found = path ? mirror_.stat(*path) : Result<struct stat>(Error{ESTALE, ""});
  if (!found) return Answer::error(found.error().code);
  const bool reads = (in.flags & O_ACCMODE) != O_WRONLY;
  const int mask = (reads ? R_OK : 0) | (is_write(in.flags) ? W_OK : 0);
  if (!may_use(r, found.value(), mask) || !may_reach(r, *path)) return Answer::error(EACCES);
  // Nothing that a container writes ever gets to the host's file.
  if (is_write(in.flags)) return Answer::error(read_only_errno(*path));
  return in_turn_of_owner(r, [this, node, path = *path](const Request& req, auto& owner) {
    if (parts_.full(owner)) return Answer::error(ENFILE);
    auto text = text_of(path, owner);
    if (!text) return Answer::error(text.error().code);
    const uint64_t handle = parts_.open_files.insert(
        std::make_shared<OpenFile>(node, nullptr, owner), std::move(text.value()), req.identity());
    return opened(handle, node);
  });
}

Result<std::string> MirrorFiles::text_of(const std::string& path, const ContainerPtr& container) {
  counters().renders.fetch_add(1, std::memory_order_relaxed);
  return mirror_.text(path, ask_of(container));
}

Answer MirrorFiles::read(const Request& r) {
  const auto& in = *r.arg<fuse_read_in>();
  const NodeId node = node_of(r);
  // Not through the page cache: sizes are the kernel's own of sysfs, a page for whatever is in it.
  // sendfile(2) says EINVAL, as for sysfs before 5.11, and its users fall back to read(2).
  if ((in.read_flags & FUSE_READ_LOCKOWNER) == 0) return Answer::error(EINVAL);
  const auto file = parts_.open_files.find(in.fh, node);
  const auto renewal =
      file ? parts_.open_files.wants_renewal(*file, in.offset, boottime_us(), options().tick_us)
           : OpenFiles::Renewal::kNone;
  if (file && renewal == OpenFiles::Renewal::kNone) {
    return slice(r, file->snapshot());
  }
  const auto path = path_of(node);
  auto container = file ? Result<ContainerPtr>(file->container) : parts_.container_of(r, node);
  if (!container || (!path && !file)) return Answer::error(ESTALE);
  const ContainerPtr owner = std::move(container.value());
  return in_turn(r, owner, [this, node, file, owner, path, renewal](const Request& req) {
    auto text = path ? text_of(*path, owner) : Result<std::string>(Error{ESTALE, ""});
    if (file) {
      parts_.open_files.renew(*file, std::move(text), renewal);
      return slice(req, file->snapshot());
    }
    // A handle of a worker whose state was lost: the node says whose file it is.
    if (!text) return Answer::error(text.error().code);
    const auto again = std::make_shared<OpenFile>(node, nullptr, owner);
    restore(req, again, std::move(text.value()));
    return or_close(req, slice(req, again->snapshot()));
  });
}

Answer MirrorFiles::readdir(const Request& r) {
  const NodeId node = node_of(r);
  const auto path = path_of(node);
  if (!path) return directories_.readdir(r);
  auto container = parts_.container_of(r, node);
  if (!container) return Answer::error(container.error());
  const ContainerPtr owner = std::move(container.value());
  return in_turn_of_directory(r, owner, [this, node, owner, path = *path](const Request& req) {
    auto found = mirror_.list(path, ask_of(owner));
    if (!found) return Answer::error(found.error().code);
    const auto* in = req.arg<fuse_read_in>();
    const TreeDir* dir = node.mirrored() ? nullptr : parts_.tree.dir(node.index());
    const ContainerId id = owner ? owner->id() : ContainerId();
    Listing listing(in->size);
    bool room = true;
    if (in->offset < 1) room = listing.add(node, 1, S_IFDIR >> 12, ".");
    if (in->offset < 2) room = room && listing.add(kRootNode, 2, S_IFDIR >> 12, "..");
    for (const SysfsEntry& entry : found.value()) {
      // Offsets are numbers, not positions: CPUs come and go between two calls.
      const uint64_t next = uint64_t{entry.number} + 3;
      if (next <= in->offset) continue;
      const TreeEntry* ours = dir == nullptr ? nullptr : dir->find(entry.name);
      const auto mirrored = NodeId::mirror(id, entry.number);
      if (ours == nullptr && !mirrored) continue;
      const NodeId its = ours == nullptr ? *mirrored : NodeId(id, ours->index);
      room = room && listing.add(its, next, entry.type >> 12, entry.name);
      if (!room) break;
    }
    return Answer::text(listing.bytes());
  });
}

Answer MirrorFiles::opendir(const Request& r) {
  const NodeId node = node_of(r);
  if (const auto path = path_of(node)) {
    const auto found = mirror_.stat(*path);
    if (!found) return Answer::error(ENOENT);
    if (!may_use(r, found.value(), R_OK) || !may_reach(r, *path)) return Answer::error(EACCES);
  }
  return Answer::of(fuse_open_out{});
}

Answer MirrorFiles::readlink(const Request& r) {
  const NodeId node = node_of(r);
  if (!node.mirrored()) return Files::readlink(r);
  const auto path = path_of(node);
  const auto target = path ? mirror_.link(*path) : Result<std::string>(Error{ESTALE, ""});
  if (!target) return Answer::error(target.error().code);
  return Answer::text(target.value());
}

Answer MirrorFiles::access(const Request& r) {
  const auto& in = *r.arg<fuse_access_in>();
  const auto path = path_of(node_of(r));
  if (!path) return Files::access(r);
  const auto found = mirror_.stat(*path);
  if (!found) return Answer::error(ENOENT);
  const int mask = static_cast<int>(in.mask) & (R_OK | W_OK | X_OK);
  int code = 0;
  if (!may_use(r, found.value(), mask) || !may_reach(r, *path)) {
    code = EACCES;
  } else if ((mask & W_OK) != 0) {
    code = EROFS;
  }
  return code == 0 ? Answer::ok() : Answer::tell(code);
}

}  // namespace vprocfs
