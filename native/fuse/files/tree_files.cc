#include "fuse/files/tree_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>

#include "base/affix.h"
#include "fuse/files/all_files.h"
#include "fuse/files/listing.h"

namespace vprocfs {
namespace {

struct Name {
  NodeId node;
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

bool TreeFiles::is_link(NodeId node) const {
  if (parts_.tree.link(node.index()) != nullptr) return true;
  if (!node.container().none()) return node.index() == kContainerLinkIndex;
  return below_container(node.index()) != nullptr;
}

/// To the mount whose files can be polled, where the caller sees that; else to what stands beside.
std::string TreeFiles::polled_target(const Request& r, NodeId node, const std::string& path) const {
  const std::string place =
      options().polled_place ? options().polled_place(r.header().pid) : std::string();
  if (place.empty()) return "." + path.substr(path.rfind('/') + 1);
  if (node.container().none()) return place + "/" + path;
  return place + "/containers/" + node.container().name() + "/" + path;
}

fuse_attr TreeFiles::attributes_of(NodeId node) const {
  const bool link = is_link(node);
  fuse_attr attr = vprocfs::attributes_of(node, link ? S_IFLNK | 0777 : S_IFDIR | 0555, 0);
  attr.nlink = link ? 1 : 2;
  return attr;
}

Answer TreeFiles::entry(const Request&, NodeId node, const ContainerPtr&, uint64_t valid_s) {
  fuse_entry_out out{};
  out.attr = attributes_of(node);
  out.nodeid = node.raw();
  out.entry_valid = out.attr_valid = valid_s;
  return Answer::of(out);
}

Answer TreeFiles::lookup(const Request& r) {
  const std::string name = name_of(r);
  const NodeId parent = node_of(r);
  NodeIndex index = parent.index();
  if (parent.container().none()) {
    if (index == kContainersIndex) return lookup_container(r, name);
    if (index == kRootIndex) {
      if (name == "containers")
        return entry(r, NodeId({}, kContainersIndex), nullptr, kForeverSeconds);
      if (name == "cgroup") return entry(r, NodeId({}, kCgroupIndex), nullptr, kForeverSeconds);
      if (name == "self") return entry(r, NodeId({}, kSelfIndex), nullptr, kForeverSeconds);
      if (const NodeIndex link = link_at_top(name)) return lookup_top(r, name, link);
      index = kContainerRootIndex;
    }
  }
  const TreeDir* dir = parts_.tree.dir(index);
  const TreeEntry* found = dir == nullptr ? nullptr : dir->find(name);
  if (found == nullptr) return Files::lookup(r);
  return lookup_entry(r, parent, *found);
}

/// To the host proc and sys are directories whose files say whose they are at every open. Those in
/// a container find links to their own tree: were they to find files of their own by the same path
/// as others, each look-up would take the name from what the one before has just bound, which runc
/// ("possibly malicious path", "(deleted)") and others take for an attack.
Answer TreeFiles::lookup_top(const Request& r, const std::string& name, NodeIndex link) {
  const auto caller = parts_.caller_of(r);
  const TreeEntry* found = parts_.tree.dir(kContainerRootIndex)->find(name);
  if (!caller) return Answer::error(caller.error());
  if (found == nullptr) return Answer::error(ENOENT);
  // The next caller may be another's.
  return entry(r, NodeId({}, caller.value() ? link : found->index), nullptr, 0);
}

/// containers/pid:<PID> leads from any process that the host knows to its container. What it leads
/// to is in the node id, so that every worker can answer for it.
Answer TreeFiles::lookup_process(const Request& r, std::string_view digits) {
  const auto caller = parts_.caller_of(r);
  pid_t pid = 0;
  const char* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, pid);
  const bool is_pid = read.ec == std::errc() && read.ptr == end && pid > 0;
  const bool may = is_pid && caller && !caller.value();
  const auto found = may ? parts_.registry.by_process(pid) : caller;
  if (!may || !found || !found.value()) {
    return Answer::tell(ENOENT);
  }
  return entry(r, NodeId(found.value()->id(), kContainerLinkIndex), nullptr, 0);
}

Answer TreeFiles::lookup_container(const Request& r, const std::string& name) {
  if (starts_with(name, kProcessPrefix)) {
    return lookup_process(r, std::string_view(name).substr(kProcessPrefix.size()));
  }
  const auto id = ContainerId::parse(name);
  const auto caller = parts_.caller_of(r);
  // To others a container is not there, rather than forbidden: names are not to be probed either.
  const bool may = caller && (!caller.value() || (id && caller.value()->id() == *id));
  if (!caller) return Answer::error(caller.error());
  if (!id || !may) {
    return Answer::tell(ENOENT);
  }
  Registry& registry = parts_.registry;
  const auto found = caller.value() ? registry.by_id(*id) : registry.for_host(*id);
  if (!found) return Answer::no_entry(found.error());
  return entry(r, NodeId(*id, kContainerRootIndex), nullptr, 0);
}

Answer TreeFiles::attributes(const Request& r) {
  const NodeId node = node_of(r);
  const bool fixed = node.container().none() && node.index() <= kCgroupIndex;
  if (!fixed && !is_link(node) && node.index() != kContainerRootIndex &&
      parts_.tree.dir(node.index()) == nullptr) {
    return Answer::error(ENOENT);
  }
  fuse_attr_out out{};
  out.attr_valid = kForeverSeconds;
  out.attr = attributes_of(node);
  return Answer::of(out);
}

Answer TreeFiles::readlink(const Request& r) {
  const NodeId node = node_of(r);
  if (!is_link(node)) return Answer::error(EINVAL);
  if (const std::string* const path = parts_.tree.link(node.index())) {
    return Answer::text(polled_target(r, node, *path));
  }
  if (!node.container().none()) {
    return Answer::text(node.container().name());
  }
  const auto caller = parts_.caller_of(r);
  if (!caller) return Answer::no_entry(caller.error());
  if (!caller.value() && node.index() != kSelfIndex) return Answer::error(ENOENT);
  const std::string target =
      caller.value() ? "containers/" + caller.value()->id().name() + below_container(node.index())
                     : std::string(".");
  return Answer::text(target);
}

Answer TreeFiles::readdir(const Request& r) {
  const auto* in = r.arg<fuse_read_in>();
  const NodeId node = node_of(r);
  std::vector<Name> names = {{node, kDirectory, "."}, {kRootNode, kDirectory, ".."}};
  Listing listing(in->size);
  const bool top = node.container().none();
  if (top && node.index() == kContainersIndex) {
    // Offsets are identities, not positions: containers come and go between two calls.
    uint64_t at = in->offset;
    bool room = true;
    for (; at < 2 && room; ++at)
      room = listing.add(names[at].node, at + 1, kDirectory, names[at].name);
    for (const ContainerId id : visible_containers(r)) {
      if (!room) break;
      if (id.packed() + 2 <= at) continue;
      room = listing.add(NodeId(id, kContainerRootIndex), id.packed() + 2, kDirectory, id.name());
    }
    return Answer::text(listing.bytes());
  }
  if (top && node.index() == kRootIndex) {
    names.push_back({NodeId({}, kContainersIndex), kDirectory, "containers"});
    names.push_back({NodeId({}, kCgroupIndex), kDirectory, "cgroup"});
    names.push_back({NodeId({}, kSelfIndex), kLink, "self"});
  }
  const bool root = top && node.index() == kRootIndex;
  const TreeDir* dir = parts_.tree.dir(root ? kContainerRootIndex : node.index());
  if (dir != nullptr) {
    const auto caller = root ? parts_.caller_of(r) : Result<ContainerPtr>(ContainerPtr());
    const bool links = caller && caller.value();
    for (const auto& e : dir->entries) {
      if (e.hidden || (e.view != nullptr && is_of_log(*e.view) && top)) continue;
      if (links && link_at_top(e.name) != 0) {
        names.push_back({NodeId({}, link_at_top(e.name)), kLink, e.name});
        continue;
      }
      names.push_back({NodeId(node.container(), e.index),
                       e.link              ? kLink
                       : e.view == nullptr ? kDirectory
                                           : kRegular,
                       e.name});
    }
  }
  for (size_t i = static_cast<size_t>(std::min<uint64_t>(in->offset, names.size()));
       i < names.size(); ++i) {
    if (!listing.add(names[i].node, i + 1, names[i].type, names[i].name)) break;
  }
  return Answer::text(listing.bytes());
}

std::vector<ContainerId> TreeFiles::visible_containers(const Request& r) {
  std::vector<ContainerId> ids;
  const auto caller = parts_.caller_of(r);
  if (!caller) return ids;
  if (caller.value()) {
    ids.push_back(caller.value()->id());
    return ids;
  }
  for (const auto& description : parts_.registry.list()) ids.push_back(description.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

Answer TreeFiles::lookup_entry(const Request& r, NodeId parent, const TreeEntry& found) {
  const bool callers = parent.container().none();
  if (found.view == nullptr) {  // a directory or a link
    const NodeId node(parent.container(), found.index);
    return all_.of(node).entry(r, node, nullptr, kForeverSeconds);
  }
  // The caller-identified tree: every caller gets its own container's node, so that what is bound
  // or cached under it is that container's for ever. Never cached, since the next caller differs.
  const auto container = parts_.container_of(r, parent);
  if (!container) return no_owner(parent, container.error());
  const ContainerPtr& owner = container.value();
  // The host's own log is not ours to give.
  if (!owner && is_of_log(*found.view)) return Answer::error(ENOENT);
  const NodeId node(owner ? owner->id() : ContainerId(), found.index);
  return all_.of(node).entry(r, node, owner, callers ? 0 : kForeverSeconds);
}

}  // namespace vprocfs
