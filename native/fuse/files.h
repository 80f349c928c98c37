#pragma once

#include <linux/fuse.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuse/protocol.h"
#include "fuse/serving.h"
#include "node/node_id.h"
#include "node/tree.h"

namespace vprocfs {

/// The size of a file nobody has read yet: more than most hold, since too large a size is corrected
/// by the first short read while too small a one cuts sendfile(2) off.
inline constexpr uint64_t kUnknownSize = 4096;
/// Directories never change: how long the kernel may keep them.
inline constexpr uint64_t kForeverSeconds = 86400;

/// What a node is to the kernel: of root, of now, with `mode` (type and permissions).
fuse_attr attributes_of(NodeId node, uint32_t mode, uint64_t size);
/// The same with a size and a time that belong together.
fuse_attr attributes_of(NodeId node, uint32_t mode, uint64_t size, uint64_t modified_ns);

/// One way of serving nodes. Each answers requests about the nodes for which AllFiles::of() chooses
/// it; what a way does not override is refused as procfs refuses it. Thread-safe.
class Files {
 public:
  using ContainerPtr = Serving::ContainerPtr;

  explicit Files(Serving& serving) : serving_(serving) {}
  virtual ~Files() = default;

  /// Answers the LOOKUP by which a node is found. `owner`: whose it is where it is a file; nullptr:
  /// the host's. The kernel may keep the name for `valid_s`.
  virtual void entry(const Request& r, NodeId node, const ContainerPtr& owner,
                     uint64_t valid_s) = 0;
  virtual void attributes(const Request& r) = 0;
  /// A change of the size that the caller may ask for: by open(O_TRUNC), which changes nothing.
  virtual void truncate(const Request& r) { attributes(r); }
  virtual void access(const Request& r);

  // Of directories and links.
  virtual void lookup(const Request& r, const std::string& name);
  virtual void opendir(const Request& r);
  virtual void readdir(const Request& r);
  virtual void readlink(const Request& r);
  /// CREATE; and MKNOD, MKDIR, SYMLINK, LINK.
  virtual void refuse_creation(const Request& r);
  virtual void refuse_name(const Request& r);

  // Of files.
  virtual void open(const Request& r);
  virtual void read(const Request& r);
  virtual void write(const Request& r);
  virtual void release(const Request& r);
  /// What poll(2) is told beyond what it is told of every file.
  virtual uint32_t poll_events(const Request&) { return 0; }

 protected:
  static NodeId node_of(const Request& r) { return NodeId(r.header().nodeid); }
  template <typename... Why>
  void fail(const Request& r, Why... why) {
    serving_.answers.fail(r, why...);
  }
  template <typename T>
  bool answer(const Request& r, const T& value) {
    return reply().value(r.header().unique, value);
  }
  void answer_bytes(const Request& r, std::string_view bytes) {
    reply().data(r.header().unique, bytes.data(), bytes.size());
  }
  void answer_bytes(const Request& r, const std::vector<uint8_t>& bytes) {
    reply().data(r.header().unique, bytes.data(), bytes.size());
  }
  /// Answers a READ with its part of `text`.
  void answer_slice(const Request& r, std::string_view text);
  const Reply& reply() const { return serving_.answers.reply; }
  const ServerOptions& options() const { return serving_.options; }
  Counters& counters() { return serving_.answers.counters; }
  void in_turn(const Request& r, const ContainerPtr& container, const Turns::Work& work) {
    serving_.turns.in_turn(r, container, work);
  }

  Serving& serving_;
};

}  // namespace vprocfs
