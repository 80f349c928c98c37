#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/lanes.h"

namespace vprocfs {

/// What a container can keep from ending, tried for threads that others need. A process of it may
/// list one of its cgroup's directories into memory that never comes (a page of a FUSE file system
/// of its own), with somebody behind it who makes a directory there: from then on nobody lists that
/// directory or opens a file in it whose name the kernel has forgotten, and who tries cannot be
/// killed (inode_lock; Linux up to 6.18 at least).
///
/// So each attempt runs on a thread of its tenant's lane, and is waited for only so long. A tenant
/// that was late is not waited for until its attempt has ended, and a while after that: it costs
/// one thread, and whoever asks a small part of the time. Thread-safe.
class Attempts {
 public:
  /// Whose an attempt is, any number that stands for him.
  struct Payer {
    uint64_t number = 0;
    /// Not known: it is only the number of what is asked about, of which a tenant may have many. Of
    /// these a few may be late, and then no other one begins.
    bool is_stranger = false;
  };
  static Payer tenant(uint64_t number) { return {number, false}; }
  static Payer stranger(uint64_t number) { return {number, true}; }

  /// `begin`: what each thread does first. `wait_us`: how long an attempt is waited for, while few
  /// tenants are late.
  Attempts(std::function<void()> begin, uint64_t wait_us)
      : wait_us_(wait_us), lanes_(std::move(begin)) {}

  /// Error: there is no thread for it. Then whoever asks tries it himself, however long it takes.
  Result<bool> start();
  /// See Threads.
  void reinforce() { lanes_.reinforce(); }

  /// What `work` returns; nothing if it is late, or may not begin. It may then go on, or begin,
  /// long after that, so it must own what it uses, but for what outlives end().
  template <typename T>
  std::optional<T> ask(Payer payer, std::function<T()> work) {
    auto answer = std::make_shared<std::optional<T>>();
    const bool done = run(payer, [answer, work = std::move(work)] { *answer = work(); });
    return done ? std::move(*answer) : std::nullopt;
  }
  /// The same without waiting, and however late the tenant was: after what it has in its lane.
  void post(uint64_t tenant, Lanes::Job work);

  /// Begins no more, and waits for what is being done. False: some of it does not end. Then this
  /// must stay, with all that it may use, for as long as the process does.
  bool end();

 private:
  struct Attempt;

  /// False: `work` has not ended, and may do so any time later.
  bool run(Payer payer, Lanes::Job work);
  bool may_begin(Payer payer);
  /// How long the next attempt is waited for.
  uint64_t patience_us();
  void begin_rest(Payer payer);
  void end_rest(Payer payer);

  const uint64_t wait_us_;
  std::atomic<bool> has_threads_{false};
  std::mutex mutex_;
  /// CLOCK_MONOTONIC, until when a tenant that was late is not waited for.
  std::unordered_map<uint64_t, uint64_t> rests_;
  size_t late_ = 0, late_strangers_ = 0;
  Lanes lanes_;
};

}  // namespace vprocfs
