#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "fuse/files/view_files.h"

namespace vprocfs {

/// Files whose text is held for each open file (contract `exact`), so that a reader sees one
/// moment, however it reads. Pressure files take triggers.
class SnapshotFiles : public ViewFiles {
 public:
  using ViewFiles::ViewFiles;

  Answer entry(const Request& r, NodeId node, const ContainerPtr& owner, uint64_t valid_s) override;
  Answer read(const Request& r) override;
  Answer write(const Request& r) override;
  Answer poll(const Request& r) override;

  /// Registers an open file that holds `text`, and answers its OPEN. The size that the kernel knows
  /// stays. `flags`: as for opened().
  Answer finish_open(const Request& r, const std::shared_ptr<OpenFile>& file, std::string text,
                     uint32_t flags = FOPEN_DIRECT_IO);

 protected:
  Answer attributes_in_turn(const Request& r, NodeId node, const View& view,
                            const ContainerPtr& container) override;
  Answer open_in_turn(const Request& r, const View& view, const ContainerPtr& container) override;

 private:
  ContainerFiles::LastOpen last_open(const ContainerPtr& container, const View& view);
  /// The open file that a GETATTR asks about: the one that the kernel names, or else the last one
  /// if a thread of the caller's process opened it. nullptr: there is none.
  std::shared_ptr<OpenFile> file_of_caller(const Request& r, NodeId node,
                                           const ContainerPtr& container, const View& view);
  /// Whether two threads, by the numbers that requests have, are of one process.
  bool in_one_process(uint32_t thread, uint32_t other) const;
  /// The clock that a caller is to be told of, where it is not the container's.
  std::optional<PidNamespaceClock> clock_of(const Request& r, const View& view,
                                            const ContainerPtr& container);
  /// `clock`: the caller's, where it is not the container's.
  Result<std::string> render(const View& view, const ContainerPtr& container,
                             const std::optional<PidNamespaceClock>& clock = std::nullopt);
  Answer read_file(const Request& r, const std::shared_ptr<OpenFile>& file);
  Answer reopen(const Request& r);
  Answer arm(const Request& r, const std::shared_ptr<OpenFile>& file);

  std::mutex host_opens_mutex_;
  /// Of caller-identified nodes, by the host.
  std::map<uint16_t, ContainerFiles::LastOpen> host_opens_;
};

}  // namespace vprocfs
