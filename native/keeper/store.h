#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fd.h"
#include "keeper/fd_store_table.h"

namespace vprocfs {

/// What a descriptor in a service manager's store is. Their names there are for ever: the next
/// keeper may be of another version.
enum class StoreKind : uint8_t {
  kMemo,     ///< what this keeper knows (keeper/memo.h)
  kFuse,     ///< a connection to the kernel
  kRefusal,  ///< its clone to refuse requests through
  kState,    ///< the memory of its workers
  kFdStore,  ///< what workers left (keeper/fd_store_table.h)
  kLaunch,   ///< how this keeper was started (keeper/launch.h)
};

/// The name of one descriptor.
struct StoreName {
  StoreKind kind = StoreKind::kMemo;
  uint32_t which = 0;  ///< number of the connection; of kFdStore the kind that workers gave it
  uint64_t key = 0;    ///< of kFdStore

  bool operator==(const StoreName& other) const {
    return kind == other.kind && which == other.which && key == other.key;
  }
};

/// The descriptor of that name that the service manager hands this process, which stays as it is;
/// -1 when there is none.
int offered_as(StoreName name);

/// THE table of all descriptors that outlive this keeper. systemd holds a duplicate of each
/// (FDSTORE=1 of sd_notify(3)) and hands them to the next keeper (LISTEN_FDS of sd_listen_fds(3)):
/// after a crash, after a restart, not after a stop. Without a service manager it stays empty.
/// Nothing here blocks or allocates; what the manager cannot take at once is sent again by flush().
class Store {
 public:
  /// What workers left, a few for each connection, the memo.
  static constexpr size_t kCapacity = FdStoreTable::kCapacity + 32;

  /// Takes over what LISTEN_FDS brings. Each is to be taken, or goes with drop_offered().
  void receive();
  bool offers(StoreName name);
  /// Empty when there is none of that name.
  Fd take(StoreName name);
  /// Calls `visit(name, fd)` for each of a kind that has not been taken, which takes it.
  template <typename Visit>
  void take_all(StoreKind kind, Visit visit) {
    for (Entry& entry : entries_) {
      if (entry.state != State::kOffered || entry.name.kind != kind) continue;
      entry.state = State::kStored;
      visit(entry.name, Fd(entry.fd));
    }
  }
  /// Closes what nobody took, here and in the store.
  void drop_offered();

  /// Has the manager hold a duplicate. `fd` stays the caller's, and open until remove(). One that
  /// the store has under this name already is not sent again.
  void put(StoreName name, int fd);
  void remove(StoreName name);

  /// Sends what is still to be sent. False when something is left.
  bool flush();
  bool pending() const { return pending_; }
  /// How many the manager has been given.
  size_t size() const;
  /// Whether it has all without which the next keeper cannot go on with the mount. What is left are
  /// descriptors of single containers.
  bool has_mounts() const;

 private:
  enum class State : uint8_t { kFree, kOffered, kToSend, kStored, kToRemove, kToReplace };
  struct Entry {
    StoreName name;
    int fd = -1;
    State state = State::kFree;
  };
  Entry* find(StoreName name);
  Entry* find_free();

  Entry entries_[kCapacity];
  bool pending_ = false;
};

}  // namespace vprocfs
