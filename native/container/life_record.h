#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "state/state_file.h"

namespace vprocfs {

/// What one life of a container keeps in the state file under one type: one record, which begins
/// with the start of its init, so that it is not taken for another life's. Not thread-safe.
class LifeRecord {
 public:
  /// `state` may be nullptr: nothing is kept then. `init_start_us`: CLOCK_BOOTTIME. `version`
  /// stands before it; 0: none does.
  LifeRecord(StateFile* state, RecordType type, uint64_t key, uint64_t init_start_us,
             uint64_t version = 0);

  /// Calls `unpack` with what save() was given, for each record of this life: a worker that died
  /// while it saved leaves two. The last for which it is true stays; all others are given back.
  using Unpack = std::function<bool(const void* data, size_t bytes)>;
  void load(const Unpack& unpack);
  /// `packed` takes the place of what was there. When the state file is full, that stays.
  void save(const std::string& packed);
  /// Where that lies, for types that change in place; aligned to 8 bytes; nullptr when nothing is
  /// kept.
  uint8_t* data();
  /// Gives the record back, which otherwise stays for whoever asks next.
  void drop();

 private:
  StateFile* const state_;
  const RecordType type_;
  const uint64_t key_;
  std::string begin_;  ///< what the record begins with
  RecordIndex record_ = 0;
};

/// Appends a plain value as it lies in memory.
template <typename T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace vprocfs
