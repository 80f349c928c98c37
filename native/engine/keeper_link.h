#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "base/thread.h"
#include "base/wake.h"
#include "engine/engine.h"
#include "state/fd_store.h"
#include "state/keeper_protocol.h"

namespace vprocfs {

/// A worker's connection to its keeper, on its own thread: reports that the worker serves, takes
/// over and hands over on the keeper's orders, and stores descriptors with the keeper.
class KeeperLink : public FdStore {
 public:
  using OnEnd = std::function<void(const std::string& reason)>;
  using OnServing = std::function<void(std::shared_ptr<Wake> done)>;

  /// Takes the descriptor. `on_end` is called once: "drained" when there is nothing left to do,
  /// "stop" when the daemon is to unmount and end, "alone" when the keeper is gone and this worker
  /// serves on, or why it cannot serve. `on_serving` is called once when it was told to take over
  /// and has done so: whoever rings `done` has done what is to be there before the keeper knows.
  KeeperLink(Fd control, Engine& engine, OnServing on_serving, OnEnd on_end);
  ~KeeperLink() override { stop(); }

  /// Says that the engine is prepared, and listens. Error: there is no thread for it.
  Result<bool> start();
  void stop();

  bool put(FdTag tag, int fd) override;
  void remove(uint64_t key) override;
  /// Only while the engine is being activated. Waits for as long as the keeper lets us: what it
  /// has is listened to by nobody else.
  Result<std::vector<Entry>> all() override;

 private:
  void run();
  bool obey(KeeperMessage message);
  void tell_serving() const;
  void drain();
  void beat();
  /// Whether nobody has asked anything for long enough that beats may become rare.
  bool is_idle() const;
  void keep_pace(const KeeperPacket& pace);
  /// How long until the next beat is due.
  int beat_ms() const;
  KeeperPacket counted(KeeperMessage type) const;
  bool send(KeeperPacket packet) const;
  /// What one packet brings. False when nobody answers any more, or ever did; an error when the
  /// answer could not be read.
  Result<bool> take_some(uint64_t from, std::vector<Entry>& out, uint64_t& next);
  /// Whether the keeper said something before `until_ms` (monotonic; 0: for ever).
  Result<bool> has_message(uint64_t until_ms) const;

  Fd control_;
  Wake wake_;
  Engine& engine_;
  const OnServing on_serving_;
  const OnEnd on_end_;
  uint64_t last_requests_ = 0;
  int quiet_beats_ = 0;       ///< in a row, between which nobody asked anything
  int quiet_beat_ms_ = 0;     ///< as the keeper says; 0: as one that has not said so
  int idle_ms_ = 0;           ///< the same after a kIdleBeat; 0: it does not know that
  uint64_t lost_ = 0;         ///< stored descriptors that did not arrive
  bool answers_ = false;      ///< the keeper answers every kListFds
  bool is_followed_ = false;  ///< the next worker is ready to take over
  std::vector<KeeperMessage> deferred_messages_;  ///< that came while descriptors were asked for
  Thread thread_;
};

}  // namespace vprocfs
