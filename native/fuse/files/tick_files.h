#pragma once

#include <linux/fuse.h>

#include <cstdint>

#include "fuse/files/view_files.h"

namespace vprocfs {

/// Files in contract `tick`: the kernel opens them, reads them from its cache and closes them
/// without asking us, and asks for attributes once per tick. If size or time have changed, it reads
/// the file again.
class TickFiles : public ViewFiles {
 public:
  using ViewFiles::ViewFiles;

  Answer entry(const Request& r, NodeId node, const ContainerPtr& owner, uint64_t valid_s) override;
  Answer open(const Request& r) override;
  Answer read(const Request& r) override;
  Answer write(const Request& r) override;
  Answer poll(const Request& r) override;

 protected:
  Answer attributes_in_turn(const Request& r, NodeId node, const View& view,
                            const ContainerPtr& container) override;
  /// Never comes: open() refuses all.
  Answer open_in_turn(const Request& r, const View& view, const ContainerPtr& container) override;
  /// Nothing can be written.
  uint32_t mode_of(const View& view) const override { return ViewFiles::mode_of(view) & ~0222u; }

 private:
  /// nullptr: the host's. `before`: as Container::render_recent().
  Result<Container::RecentText> render(const View& view, Container* container,
                                       const Container::MadeOf& before = {});
  /// What the page cache is to have of a file; the present one when it is of this tick, or
  /// `any_age`.
  Result<CachedTextPtr> snapshot(const View& view, Container& container, bool any_age);
  Answer first_entry(NodeId node, const View& view, const ContainerPtr& container,
                     uint64_t valid_s);
};

/// Has the kernel keep attributes for what is left of the tick of a snapshot that was taken at
/// `taken_us` (CLOCK_BOOTTIME). Until then it asks nobody.
void keep_for_tick(fuse_attr_out& out, uint64_t taken_us, uint64_t tick_us);

/// What every file answers to OPEN in contract `tick`. The kernel remembers: from now on it opens,
/// reads from its cache and closes without us.
Answer refuse_open();

}  // namespace vprocfs
