#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <string_view>
#include <system_error>

#include "fuse/listing.h"
#include "fuse/server.h"

namespace vprocfs {
namespace {

struct Name {
  uint64_t ino;
  uint32_t type;
  std::string name;
};

constexpr uint32_t kDirectory = S_IFDIR >> 12;
constexpr uint32_t kRegular = S_IFREG >> 12;
constexpr uint32_t kLink = S_IFLNK >> 12;

/// What the name of a link to the container of a process begins with.
constexpr std::string_view kProcessPrefix = "pid:";

/// What those in a container find by a name at the top: a link, 0 for none.
NodeIndex link_at_top(std::string_view name) {
  if (name == "proc") return kProcLinkIndex;
  if (name == "dev") return kDevLinkIndex;
  return name == "sys" ? kSysLinkIndex : NodeIndex{0};
}

/// Where a link of the top leads to in the container's own tree; nullptr: it is none.
const char* below_container(NodeIndex index) {
  switch (index) {
    case kSelfIndex:
      return "";
    case kProcLinkIndex:
      return "/proc";
    case kSysLinkIndex:
      return "/sys";
    case kDevLinkIndex:
      return "/dev";
    default:
      return nullptr;
  }
}

}  // namespace

bool Server::is_link(NodeId node) const {
  if (tree_.link(node.index()) != nullptr) return true;
  if (!node.container().none()) return node.index() == kContainerLinkIndex;
  return below_container(node.index()) != nullptr;
}

/// To the mount whose files can be polled, where the caller sees that; else to what stands beside.
std::string Server::polled_target(const Request& r, NodeId node, const std::string& path) const {
  const std::string place =
      options_.polled_place ? options_.polled_place(r.header().pid) : std::string();
  if (place.empty()) return "." + path.substr(path.rfind('/') + 1);
  if (node.container().none()) return place + "/" + path;
  return place + "/containers/" + node.container().name() + "/" + path;
}

fuse_attr Server::attributes(NodeId node, const View* view, uint64_t size) const {
  fuse_attr attr{};
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  attr.ino = node.raw();
  attr.size = size;
  attr.atime = attr.mtime = attr.ctime = static_cast<uint64_t>(now.tv_sec);
  attr.atimensec = attr.mtimensec = attr.ctimensec = static_cast<uint32_t>(now.tv_nsec);
  attr.nlink = 1;
  attr.blksize = 4096;
  if (is_link(node)) {
    attr.mode = S_IFLNK | 0777;
  } else if (view != nullptr) {
    // In tick nothing can be written.
    attr.mode = S_IFREG | (tick_ ? view->mode & ~0222u : view->mode);
  } else {
    attr.mode = S_IFDIR | 0555;
    attr.nlink = 2;
  }
  return attr;
}

void Server::lookup(const Request& r) {
  const auto* bytes = reinterpret_cast<const char*>(r.payload());
  const std::string name(bytes, ::strnlen(bytes, r.payload_size()));
  const NodeId parent(r.header().nodeid);
  NodeIndex index = parent.index();
  if (parent.container().none()) {
    if (index == kContainersIndex) return lookup_container(r, name);
    if (index == kRootIndex) {
      if (name == "containers")
        return entry(r, NodeId({}, kContainersIndex), nullptr, 0, kForeverSeconds);
      if (name == "cgroup") return entry(r, NodeId({}, kCgroupIndex), nullptr, 0, kForeverSeconds);
      if (name == "self") return entry(r, NodeId({}, kSelfIndex), nullptr, 0, kForeverSeconds);
      if (const NodeIndex link = link_at_top(name)) return lookup_top(r, name, link);
      index = kContainerRootIndex;
    }
  }
  const TreeDir* dir = parent.mirrored() ? nullptr : tree_.dir(index);
  const TreeEntry* found = dir == nullptr ? nullptr : dir->find(name);
  if (found == nullptr) {
    const auto mirrored = mirror_path(parent);
    if (mirrored) return lookup_mirror(r, parent, *mirrored, name);
    reply_.error(r.header().unique, ENOENT);
    return;
  }
  lookup_entry(r, parent, *found);
}

/// To the host proc and sys are directories whose files say whose they are at every open. Those in
/// a container find links to their own tree: were they to find files of their own by the same path
/// as others, each look-up would take the name from what the one before has just bound, which runc
/// ("possibly malicious path", "(deleted)") and others take for an attack.
void Server::lookup_top(const Request& r, const std::string& name, NodeIndex link) {
  const auto caller = registry_.by_process(static_cast<pid_t>(r.header().pid));
  const TreeEntry* found = tree_.dir(kContainerRootIndex)->find(name);
  if (!caller) return fail_lookup(r, caller.error());
  if (found == nullptr) return fail(r, ENOENT);
  // The next caller may be another's.
  entry(r, NodeId({}, caller.value() ? link : found->index), nullptr, 0, 0);
}

/// containers/pid:<PID> leads from any process that the host knows to its container. What it leads
/// to is in the node id, so that every worker can answer for it.
void Server::lookup_process(const Request& r, std::string_view digits) {
  const auto caller = registry_.by_process(static_cast<pid_t>(r.header().pid));
  pid_t pid = 0;
  const char* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, pid);
  const bool is_pid = read.ec == std::errc() && read.ptr == end && pid > 0;
  const bool may = is_pid && caller && !caller.value();
  const auto found = may ? registry_.by_process(pid) : caller;
  if (!may || !found || !found.value()) {
    reply_.error(r.header().unique, ENOENT);
    return;
  }
  entry(r, NodeId(found.value()->id(), kContainerLinkIndex), nullptr, 0, 0);
}

void Server::lookup_container(const Request& r, const std::string& name) {
  if (name.compare(0, kProcessPrefix.size(), kProcessPrefix) == 0) {
    return lookup_process(r, std::string_view(name).substr(kProcessPrefix.size()));
  }
  const auto id = ContainerId::parse(name);
  const auto caller = registry_.by_process(static_cast<pid_t>(r.header().pid));
  // To others a container is not there, rather than forbidden: names are not to be probed either.
  const bool may = caller && (!caller.value() || (id && caller.value()->id() == *id));
  if (!caller) return fail_lookup(r, caller.error());
  if (!id || !may) {
    reply_.error(r.header().unique, ENOENT);
    return;
  }
  const auto found = registry_.by_id(*id);
  if (!found) return fail_lookup(r, found.error());
  entry(r, NodeId(*id, kContainerRootIndex), nullptr, 0, 0);
}

void Server::getattr(const Request& r) {
  const NodeId node(r.header().nodeid);
  if (const auto mirrored = mirror_path(node)) return getattr_mirror(r, node, *mirrored);
  if (node.mirrored()) return fail(r, ESTALE);
  const View* view = tree_.file(node.index());
  if (view == nullptr) {
    const bool fixed = node.container().none() && node.index() <= kCgroupIndex;
    if (!fixed && !is_link(node) && node.index() != kContainerRootIndex &&
        tree_.dir(node.index()) == nullptr) {
      return fail(r, ENOENT);
    }
    fuse_attr_out out{};
    out.attr_valid = kForeverSeconds;
    out.attr = attributes(node, nullptr, 0);
    reply_.value(r.header().unique, out);
    return;
  }
  auto container = container_of(r, node);
  if (!container) return fail(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  in_turn(r, owner,
          [this, node, view, owner](const Request& req) { getattr_file(req, node, *view, owner); });
}

void Server::access(const Request& r) {
  const auto* in = r.arg<fuse_access_in>();
  if (const auto mirrored = mirror_path(NodeId(r.header().nodeid))) {
    return access_mirror(r, *in, *mirrored);
  }
  const View* view = tree_.file(NodeId(r.header().nodeid).index());
  const uint32_t mode = view == nullptr ? 0555 : view->mode;
  // Everything is root's and no group's; root lacks only what nobody has: execution.
  const uint32_t allowed = r.header().uid == 0 ? (R_OK | W_OK | (mode & X_OK)) : mode & 07;
  if ((in->mask & ~allowed & 07) != 0) {
    reply_.error(r.header().unique, EACCES);
    return;
  }
  reply_.ok(r.header().unique);
}

void Server::setattr(const Request& r) {
  const auto* in = r.arg<fuse_setattr_in>();
  // open(O_TRUNC) on a proc file changes nothing and succeeds for who may write; nothing else is
  // ours to change.
  if ((in->valid & ~uint32_t{FATTR_SIZE | FATTR_FH | FATTR_LOCKOWNER}) != 0) {
    return fail(r, EPERM);
  }
  if (r.header().uid != 0) return fail(r, EACCES);
  if (NodeId(r.header().nodeid).mirrored()) return fail(r, EROFS);
  getattr(r);
}

void Server::readlink(const Request& r) {
  const NodeId node(r.header().nodeid);
  if (node.mirrored()) return readlink_mirror(r, node);
  if (!is_link(node)) return fail(r, EINVAL);
  if (const std::string* const path = tree_.link(node.index())) {
    const std::string target = polled_target(r, node, *path);
    reply_.data(r.header().unique, target.data(), target.size());
    return;
  }
  if (!node.container().none()) {
    const std::string id = node.container().name();
    reply_.data(r.header().unique, id.data(), id.size());
    return;
  }
  const auto caller = registry_.by_process(static_cast<pid_t>(r.header().pid));
  if (!caller) return fail_lookup(r, caller.error());
  if (!caller.value() && node.index() != kSelfIndex) return fail(r, ENOENT);
  const std::string target =
      caller.value() ? "containers/" + caller.value()->id().name() + below_container(node.index())
                     : std::string(".");
  reply_.data(r.header().unique, target.data(), target.size());
}

void Server::readdir(const Request& r) {
  const auto* in = r.arg<fuse_read_in>();
  const NodeId node(r.header().nodeid);
  if (const auto mirrored = mirror_path(node)) return readdir_mirror(r, node, *mirrored);
  std::vector<Name> names = {{node.raw(), kDirectory, "."}, {kRootIndex, kDirectory, ".."}};
  Listing listing(in->size);
  const bool top = node.container().none();
  if (top && node.index() == kContainersIndex) {
    // Offsets are identities, not positions: containers come and go between two calls.
    uint64_t at = in->offset;
    bool room = true;
    for (; at < 2 && room; ++at)
      room = listing.add(names[at].ino, at + 1, kDirectory, names[at].name);
    for (const ContainerId id : visible_containers(r)) {
      if (!room) break;
      if (id.packed() + 2 <= at) continue;
      room = listing.add(NodeId(id, kContainerRootIndex).raw(), id.packed() + 2, kDirectory,
                         id.name());
    }
    reply_.data(r.header().unique, listing.bytes().data(), listing.bytes().size());
    return;
  }
  if (top && node.index() == kRootIndex) {
    names.push_back({NodeId({}, kContainersIndex).raw(), kDirectory, "containers"});
    names.push_back({NodeId({}, kCgroupIndex).raw(), kDirectory, "cgroup"});
    names.push_back({NodeId({}, kSelfIndex).raw(), kLink, "self"});
  }
  const bool root = top && node.index() == kRootIndex;
  const TreeDir* dir = tree_.dir(root ? kContainerRootIndex : node.index());
  if (dir != nullptr) {
    const auto caller = root ? registry_.by_process(static_cast<pid_t>(r.header().pid))
                             : Result<ContainerPtr>(ContainerPtr());
    const bool links = caller && caller.value();
    for (const auto& e : dir->entries) {
      if (e.hidden || (e.view != nullptr && is_of_log(*e.view) && top)) continue;
      if (links && link_at_top(e.name) != 0) {
        names.push_back({NodeId({}, link_at_top(e.name)).raw(), kLink, e.name});
        continue;
      }
      names.push_back({NodeId(node.container(), e.index).raw(),
                       e.link              ? kLink
                       : e.view == nullptr ? kDirectory
                                           : kRegular,
                       e.name});
    }
  }
  for (size_t i = static_cast<size_t>(std::min<uint64_t>(in->offset, names.size()));
       i < names.size(); ++i) {
    if (!listing.add(names[i].ino, i + 1, names[i].type, names[i].name)) break;
  }
  reply_.data(r.header().unique, listing.bytes().data(), listing.bytes().size());
}

std::vector<ContainerId> Server::visible_containers(const Request& r) {
  std::vector<ContainerId> ids;
  const auto caller = registry_.by_process(static_cast<pid_t>(r.header().pid));
  if (!caller) return ids;
  if (caller.value()) {
    ids.push_back(caller.value()->id());
    return ids;
  }
  for (const auto& description : registry_.list()) ids.push_back(description.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace vprocfs
