#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fd.h"
#include "keeper/handover_memory.h"
#include "state/fd_store.h"

namespace vprocfs {

class Store;

/// Descriptors that workers leave with the keeper for later workers. The keeper does not know what
/// they are. The table lies in a memfd, so that a keeper that executes itself again has it.
class FdStoreTable {
 public:
  static constexpr size_t kCapacity = 4096;

  /// `table_fd`: of an earlier self; -1: begin with nothing.
  bool open(int table_fd);
  int table_fd() const { return table_.fd(); }
  /// From now on all that is here is in the store too; takes what an earlier keeper left there.
  void attach(Store& store);

  /// Takes the descriptor, in the place of the one with that key if there is one. False when there
  /// is no room.
  bool keep(uint64_t key, FdKind kind, Fd fd);
  bool has(uint64_t key) const { return find(key) != nullptr; }
  void forget(uint64_t key);
  size_t size() const;

  /// Calls `visit(key, kind, fd)` for each.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (size_t i = 0; places_ != nullptr && i < kCapacity; ++i) {
      if (places_[i].fd != 0) visit(places_[i].key, places_[i].kind, places_[i].fd);
    }
  }

  /// Sends what is there from place `from` on: as much as one packet takes.
  bool send(int control, uint64_t from) const;

  /// Whether the descriptors, the table's too, outlive an execve(2).
  void outlive(bool execve) const;

 private:
  struct Place {
    uint64_t key;
    FdKind kind;
    int32_t fd;  ///< 0: empty; no descriptor of ours is 0
  };
  /// nullptr: there is none with that key.
  Place* find(uint64_t key) const;

  HandoverMemory table_;
  Place* places_ = nullptr;
  Store* store_ = nullptr;
};

}  // namespace vprocfs
