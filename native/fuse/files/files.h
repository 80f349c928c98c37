#pragma once

#include <linux/fuse.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "fuse/protocol.h"
#include "fuse/server_parts.h"
#include "node/node_id.h"

namespace vprocfs {

/// The size of a file nobody has read yet: more than most hold, since too large a size is corrected
/// by the first short read while too small a one cuts sendfile(2) off.
inline constexpr uint64_t kUnknownSize = 4096;
/// Directories never change: how long the kernel may keep them.
inline constexpr uint64_t kForeverSeconds = 86400;

/// A time or how long something is valid, as the kernel takes it.
void set_time(uint64_t ns, uint64_t& seconds, uint32_t& rest_ns);
/// When a file was changed.
void set_modified(uint64_t ns, fuse_attr& attr);

/// What a node is to the kernel: of root, of now, with `mode` (type and permissions).
fuse_attr attributes_of(NodeId node, uint32_t mode, uint64_t size);
/// The same with a size and a time that belong together.
fuse_attr attributes_of(NodeId node, uint32_t mode, uint64_t size, uint64_t modified_ns);

/// What a LOOKUP is answered with. The kernel may keep the name for `valid_s`.
Answer entry_of(NodeId node, const fuse_attr& attr, uint64_t valid_s);

/// One way of serving nodes. Each answers requests about the nodes for which AllFiles::of() chooses
/// it; what a way does not override is refused as procfs refuses it. Thread-safe.
class Files {
 public:
  using ContainerPtr = ServerParts::ContainerPtr;

  explicit Files(ServerParts& parts) : parts_(parts) {}
  virtual ~Files() = default;

  /// Answers the LOOKUP by which a node is found. `owner`: whose it is where it is a file; nullptr:
  /// the host's. The kernel may keep the name for `valid_s`.
  virtual Answer entry(const Request& r, NodeId node, const ContainerPtr& owner,
                       uint64_t valid_s) = 0;
  virtual Answer attributes(const Request& r) = 0;
  virtual Answer set_attributes(const Request& r);
  /// A change of the size that the caller may ask for: by open(O_TRUNC), which changes nothing.
  virtual Answer truncate(const Request& r);
  virtual Answer access(const Request& r);

  // Of directories and links.
  virtual Answer lookup(const Request&) { return Answer::tell(ENOENT); }
  virtual Answer opendir(const Request&) { return Answer::of(fuse_open_out{}); }
  virtual Answer readdir(const Request&) { return Answer::error(ENOTDIR); }
  virtual Answer readlink(const Request&) { return Answer::error(EINVAL); }
  /// CREATE; and MKNOD, MKDIR, SYMLINK, LINK. proc looks a new name up and does not find it.
  virtual Answer refuse_creation(const Request&) { return Answer::error(ENOENT); }
  virtual Answer refuse_name(const Request&) { return Answer::error(ENOENT); }

  // Of files.
  virtual Answer open(const Request&) { return Answer::error(ENOENT); }
  virtual Answer read(const Request& r);
  virtual Answer write(const Request& r);
  virtual Answer release(const Request& r);
  virtual Answer seek(const Request& r);
  virtual Answer poll(const Request&) { return answer_poll(0); }

 protected:
  static NodeId node_of(const Request& r) { return NodeId(r.header().nodeid); }
  /// The name that a LOOKUP asks for.
  static std::string name_of(const Request& r);
  /// Answers POLL with `events` plus the flags that every file reports.
  Answer answer_poll(uint32_t events) const;
  /// What an OPEN that was given `handle` is answered with. `flags`: what the kernel is to do.
  Answer opened(uint64_t handle, NodeId node, uint32_t flags = FOPEN_DIRECT_IO);
  /// Keeps the file of a READ by a handle of a worker whose state was lost.
  void restore(const Request& r, const std::shared_ptr<OpenFile>& file, std::string text) {
    parts_.open_files.restore(r.arg<fuse_read_in>()->fh, file, std::move(text));
  }
  /// The answer to that READ. If its reader was killed meanwhile, the kernel may have closed the
  /// file before it was restored, and nobody else would.
  Answer or_close(const Request& r, Answer answer) {
    const uint64_t handle = r.arg<fuse_read_in>()->fh;
    return std::move(answer).or_undo(
        [this, handle, node = node_of(r)] { parts_.open_files.erase(handle, node); });
  }
  /// Answers a READ with its slice of `text`; `owner` keeps the text alive.
  static Answer slice(const Request& r, std::string_view text, std::shared_ptr<const void> owner);
  static Answer slice(const Request& r, const std::shared_ptr<Snapshot>& snapshot) {
    return slice(r, snapshot->text(), snapshot);
  }
  const Reply& reply() const { return parts_.answers.reply; }
  const ServerOptions& options() const { return parts_.options; }
  Counters& counters() { return parts_.answers.counters; }
  Answer in_turn(const Request& r, const ContainerPtr& container, const Turns::Work& work) {
    return parts_.turns.in_turn(r, container, work);
  }
  /// The same for what makes nothing anew: against no budget.
  Answer at_gate(const Request& r, const ContainerPtr& container, const Turns::Work& work) {
    return parts_.turns.at_gate(r, container, work);
  }
  /// in_turn() for a LOOKUP or READDIR in the directory `node_of(r)`: at once in one that all
  /// callers share, where the others wait for the answer too.
  Answer in_turn_of_directory(const Request& r, const ContainerPtr& container,
                              const Turns::Work& work) {
    const bool is_shared = node_of(r).container().none();
    return is_shared ? parts_.turns.at_once(r, container, work) : in_turn(r, container, work);
  }
  /// in_turn() for the container that the node belongs to, or the caller's: `work` is given the
  /// request, maybe a copy of it, and that container.
  template <typename Work>
  Answer in_turn_of_owner(const Request& r, Work work) {
    auto found = parts_.container_of(r, node_of(r));
    if (!found) return Answer::error(found.error());
    const ContainerPtr owner = std::move(found.value());
    return in_turn(r, owner, [owner, work](const Request& req) { return work(req, owner); });
  }

  /// Answers a LOOKUP in `directory` whose container was not found. Where that is the caller's, it
  /// says nothing of the name, which others have as well.
  static Answer no_owner(NodeId directory, const Error& error) {
    return directory.container().none() ? Answer::error(error) : Answer::no_entry(error);
  }

  ServerParts& parts_;
};

}  // namespace vprocfs
