#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "container/registry.h"
#include "fuse/answers.h"
#include "fuse/files/open_file.h"
#include "fuse/files/triggers.h"
#include "fuse/notifier.h"
#include "fuse/turns.h"
#include "klog/banner.h"
#include "klog/logs.h"
#include "node/tree.h"

namespace vprocfs {

/// Where kernel logs are, for whoever serves files of them.
struct KernelLogOptions {
  KernelLogs* logs = nullptr;  ///< nullptr: there are no such files
  BannerOf banner;
  int procfs_fd = -1;
};

struct ServerOptions {
  // Each is of one tenant: an outermost container with all that are nested in it.
  uint32_t max_open_per_tenant = 4096;
  uint64_t renders_per_second = 20000;  ///< 0: no limit
  uint64_t cpu_us_per_second = 0;       ///< CPU time for its requests; 0: no limit
  uint32_t max_triggers_per_tenant = 32;
  uint64_t tick_us = 10000;
  bool tick = false;      ///< asks for the contract `tick` when the connection is made
  size_t connection = 0;  ///< which one it is, below ContainerFiles::kConnections
  /// Whether files can be polled on this connection, and take triggers. If not, the kernel is told
  /// so once and does not ask again.
  bool polls = true;
  /// Where the mount is whose files are polled, as a process sees it; "" where it does not. Without
  /// it everything is here.
  std::function<std::string(uint32_t pid)> polled_place;
  KernelLogOptions kernel_logs;  ///< only where their files are in the tree
};

/// What all ways of serving files share. Thread-safe.
struct ServerParts {
  using ContainerPtr = std::shared_ptr<Container>;

  ServerParts(const Reply& r, Registry& containers, HostSource& h, StateFile& s, Tree t,
              const ServerOptions& o)
      : registry(containers),
        host(h),
        state(s),
        options(o),
        tree(std::move(t)),
        answers(r, notifier),
        turns(answers, containers, h),
        open_files(s),
        triggers(r, s, notifier) {}

  /// The container that a node belongs to, or the caller's for the caller-identified nodes.
  Result<ContainerPtr> container_of(const Request& r, NodeId node);
  /// The caller's; nullptr: a process of the host.
  Result<ContainerPtr> caller_of(const Request& r);
  /// True, and counted, when a container's tenant holds as many open files as it may.
  bool full(const ContainerPtr& container);

  Registry& registry;
  HostSource& host;
  StateFile& state;
  const ServerOptions options;
  const Tree tree;
  Answers answers;
  Turns turns;
  OpenFiles open_files;
  Notifier notifier;
  Triggers triggers;
};

}  // namespace vprocfs
