#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>

#include "fuse/files/container_files.h"
#include "fuse/files/files.h"
#include "view/view.h"

namespace vprocfs {

/// The common part of all ways of serving the files of the view table: finds the container of a
/// file, checks whether the caller may open it, and does the work in that container's turn.
class ViewFiles : public Files {
 public:
  using Files::Files;

  Answer attributes(const Request& r) override;
  Answer open(const Request& r) override;

 protected:
  /// In the turn of `container`; nullptr: the host's.
  virtual Answer attributes_in_turn(const Request& r, NodeId node, const View& view,
                                    const ContainerPtr& container) = 0;
  /// Of an OPEN that its caller may do.
  virtual Answer open_in_turn(const Request& r, const View& view,
                              const ContainerPtr& container) = 0;

  /// Type and permissions.
  virtual uint32_t mode_of(const View& view) const { return S_IFREG | view.mode; }
  /// Whose notices wait for one another.
  static uint64_t lane_of(const Container& container) { return container.tenant().id().packed(); }
  /// The size that the kernel was told of a container's file on this connection.
  AnnouncedSize& announced_size(Container& container, const View& view) {
    return ContainerFiles::of(container).announced_size(options().connection, view.index);
  }
  /// What a READ of the kernel, which caches the file, is answered with: at once its part of what
  /// `kept` returns; if that is nullptr, of what `text_of` finds or makes in the container's turn.
  using KeptText = std::function<CachedTextPtr(const View&, ContainerFiles&)>;
  using TextOf = std::function<Result<CachedTextPtr>(const View&, Container&)>;
  Answer read_for_cache(const Request& r, const KeptText& kept, const TextOf& text_of);
  Answer answer_attributes(NodeId node, const View& view, uint64_t size) const;
};

}  // namespace vprocfs
