#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "fuse/protocol.h"
#include "node/node_id.h"

namespace vprocfs {

/// Collects entries for one READDIR reply.
class Listing {
 public:
  explicit Listing(size_t room) : room_(room) {}

  /// False when there is no room for it. `next` is where reading goes on after this entry.
  bool add(NodeId node, uint64_t next, uint32_t type, const std::string& name) {
    const size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name.size());
    if (bytes_.size() + size > room_) return false;
    fuse_dirent entry{};
    entry.ino = node.inode();
    entry.off = next;
    entry.namelen = static_cast<uint32_t>(name.size());
    entry.type = type;
    const size_t at = bytes_.size();
    bytes_.resize(at + size, 0);
    std::memcpy(bytes_.data() + at, &entry, FUSE_NAME_OFFSET);
    std::memcpy(bytes_.data() + at + FUSE_NAME_OFFSET, name.data(), name.size());
    return true;
  }

  const std::string& bytes() const { return bytes_; }

 private:
  size_t room_;
  std::string bytes_;
};

}  // namespace vprocfs
