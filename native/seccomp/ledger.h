#pragma once

#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// The notifications that threads have in hand, in memory that outlives the worker: the kernel
/// hands each over once only, so that its caller would wait for ever after a crash. The kernel
/// itself writes them there (SECCOMP_IOCTL_NOTIF_RECV), hence none is missing.
class Ledger {
 public:
  /// Threads that may have one in hand.
  static constexpr size_t kHands = 16;

  struct Entry {
    uint64_t key = 0;              ///< of the notify descriptor, or of LXC's connection
    uint64_t answering = 0;        ///< the notification that LXC's monitor is being answered
    seccomp_notif notification{};  ///< `id` 0: none

    bool in_use() const { return key != 0 && (notification.id != 0 || answering != 0); }
  };

  Ledger() = default;
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  static Result<Fd> make();
  /// Maps it. False when it is none of ours.
  bool open(int fd);

  /// The entry of one thread.
  Entry& hand(size_t index) { return entries_[index]; }

  /// What workers before us had in hand; it stays in the ledger until settle().
  std::vector<Entry> leftovers();
  void settle(size_t leftover) { entries_[kHands + leftover] = Entry{}; }

  /// The answer to a monitor that a worker before us was about to give, by key; 0: none. It stays
  /// in the ledger until settle_answer(), which is called once for each that is asked for.
  uint64_t answering(uint64_t key) const;
  void settle_answer(uint64_t key);

 private:
  static constexpr size_t kLeftovers = 48;
  Entry* entries_ = nullptr;
  std::vector<Entry> leftovers_;
};

}  // namespace vprocfs
