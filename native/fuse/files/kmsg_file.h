#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "container/container.h"
#include "fuse/files/kmsg_cursor.h"
#include "node/node_id.h"
#include "state/state_file.h"
#include "view/view.h"

namespace vprocfs {

/// What changes about an open file of a kernel log.
struct KmsgState {
  KmsgCursor cursor;         ///< of /dev/kmsg
  uint64_t poll_handle = 0;  ///< what its pollers are notified by; 0: none waits for a notice
  /// The request that was last acted upon. The kernel hands it again when we die before it has the
  /// answer, and not otherwise: so whoever gets it again goes back to where it began.
  uint64_t request = 0;
  /// Where that request began: a READ of /dev/kmsg at a cursor; one of /proc/kmsg at a record and a
  /// byte of it; a WRITE at the end of the log.
  KmsgCursor before;
  KmsgCursor after;  ///< of a READ of /proc/kmsg: where it ended
};

/// One open file of a container's kernel log, and its record in the state file. A worker that dies
/// at any moment leaves there the state before a change or after it, never in between. Not
/// thread-safe.
class KmsgFile {
 public:
  /// `request`: identity of the OPEN.
  KmsgFile(StateFile& state, NodeId node, const View& view, std::shared_ptr<Container> container,
           uint64_t handle, uint64_t request);
  /// Gives its record back, unless keep() was called.
  ~KmsgFile();
  KmsgFile(const KmsgFile&) = delete;
  KmsgFile& operator=(const KmsgFile&) = delete;

  /// Calls `keep` with all that a worker before us left; the record of what it does not keep is
  /// given back. What is kept is for the constructor below.
  struct SavedFile {
    RecordIndex record;
    uint64_t handle, request;
    NodeId node;
    KmsgState state;
  };
  static void adopt(StateFile& state, const std::function<bool(const SavedFile&)>& keep);
  /// Gives back the record of one that was kept.
  static void drop(StateFile& state, const SavedFile& saved);
  KmsgFile(StateFile& state, const SavedFile& saved, const View& view,
           std::shared_ptr<Container> container);

  const NodeId node;
  const View& view;
  const std::shared_ptr<Container> container;
  const uint64_t handle;

  const KmsgState& now() const { return now_; }
  void change(const KmsgState& to);
  /// How often somebody has asked to be notified. Used by KmsgFiles only.
  uint64_t times_asked = 0;
  /// The record is to outlive us.
  void keep() { record_ = 0; }

 private:
  void publish(uint64_t request);

  StateFile& state_;
  RecordIndex record_ = 0;  ///< 0: the state file has no room, and a takeover loses it
  KmsgState now_;
};

}  // namespace vprocfs
