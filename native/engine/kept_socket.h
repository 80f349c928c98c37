#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "state/fd_store.h"

namespace vprocfs {

/// The socket of metrics. The keeper has it too, so that it listens while no worker serves: who
/// connects meanwhile waits instead of being refused. A worker that was killed and that a container
/// keeps from ending does not keep its port from the next one either.
class KeptSocket {
 public:
  /// `address`: as it is configured; empty: nobody listens.
  explicit KeptSocket(std::string_view address);

  /// Takes what an earlier worker has left out of `stored`. With another address it is closed.
  void adopt(FdStore* store, std::vector<FdStore::Entry>& stored);
  /// What was adopted, once. Not open: there is none.
  Fd take() { return std::move(left_); }
  /// Has the keeper keep a duplicate. Without a keeper it does nothing.
  void keep(int fd) const;

 private:
  const uint64_t key_;  ///< 0: of none
  FdStore* store_ = nullptr;
  Fd left_;
};

}  // namespace vprocfs
