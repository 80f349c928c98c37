#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "state/state_file.h"

namespace vprocfs {

/// An open file as it lies in the state file.
struct OpenRecord {
  uint64_t node;
  uint64_t container;  ///< packed id, 0 the host
  uint64_t request;    ///< identity of the OPEN
  uint64_t checksum;   ///< of the fields above, which never change
  std::atomic<uint32_t> snapshot;
  std::atomic<uint32_t> progress;  ///< the size that its reader knows and kBegun, or 0

  /// Somebody has read from offset 0. Earlier versions say 0 of all.
  static constexpr uint32_t kBegun = uint32_t{1} << 31;

  static OpenRecord* at(StateFile& state, RecordIndex record) {
    return reinterpret_cast<OpenRecord*>(state.data(record));
  }
  /// What `checksum` is to be.
  uint64_t sum() const { return StateFile::checksum(this, offsetof(OpenRecord, checksum)); }
};

}  // namespace vprocfs
