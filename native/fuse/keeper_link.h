#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "base/fd.h"
#include "fuse/engine.h"
#include "state/keeper_protocol.h"

namespace vprocfs {

/// A worker's end of the talk with its keeper, on a thread of its own: says that it serves, takes
/// over when told to, and hands over when told to.
class KeeperLink {
 public:
  using OnEnd = std::function<void(const std::string& reason)>;
  using OnServing = std::function<void()>;

  /// Takes the descriptor. `on_end` is called once: "drained" when there is nothing left to do,
  /// "stop" when the daemon is to unmount and end, "alone" when the keeper is gone and this worker
  /// serves on, or why it cannot serve. `on_serving` is called once when it was told to take over
  /// and has done so.
  KeeperLink(Fd control, Engine& engine, OnServing on_serving, OnEnd on_end);
  ~KeeperLink();

  /// Says that the engine is prepared, and listens.
  void start();
  void stop();

 private:
  void run();
  bool obey(KeeperMessage message);
  void beat();
  KeeperPacket counted(KeeperMessage type) const;
  bool send(KeeperPacket packet) const;

  Fd control_;
  Fd wake_;
  Engine& engine_;
  const OnServing on_serving_;
  const OnEnd on_end_;
  uint64_t last_requests_ = 0;
  std::thread thread_;
};

}  // namespace vprocfs
