#pragma once

#include <cstdint>

#include "fuse/view_files.h"

namespace vprocfs {

/// Files in contract `tick`: the kernel opens, reads from its cache and closes without us, and asks
/// for attributes once a tick. When size or time are others it reads again.
class TickFiles : public ViewFiles {
 public:
  using ViewFiles::ViewFiles;

  void entry(const Request& r, NodeId node, const ContainerPtr& owner, uint64_t valid_s) override;
  void open(const Request& r) override;
  void read(const Request& r) override;
  void write(const Request& r) override;
  uint32_t poll_events(const Request& r) override;

 protected:
  void attributes_in_turn(const Request& r, NodeId node, const View& view,
                          const ContainerPtr& container) override;
  /// Never comes: open() refuses all.
  void open_in_turn(const Request& r, const View& view, const ContainerPtr& container) override;
  uint32_t mode_of(const View& view) const override;

 private:
  Result<std::string> render(const View& view, const ContainerPtr& container);
  /// What the page cache is to have of a file; the present one when it is of this tick, or
  /// `any_age`.
  Result<CachedTextPtr> snapshot(const View& view, const ContainerPtr& container, bool any_age);
  void answer_first_entry(const Request& r, NodeId node, const View& view,
                          const ContainerPtr& container, uint64_t valid_s);
  void answer_read(const Request& r, const View& view, const ContainerPtr& container);
};

/// What every file answers to OPEN in contract `tick`. The kernel remembers: from now on it opens,
/// reads from its cache and closes without us.
void refuse_opens(const Reply& reply, const Request& r);

}  // namespace vprocfs
