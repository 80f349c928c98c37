#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "state/state_file.h"

namespace vprocfs {

/// The init start times that identify one life of a container. CLOCK_BOOTTIME.
struct LifeStarts {
  uint64_t first_us = 0;  ///< of the life: what is kept from now on begins with it
  /// Of its other PID namespaces: versions that knew no lives kept records under these.
  std::vector<uint64_t> others_us;

  bool has(uint64_t start_us) const;
  /// The earliest of all that are known.
  uint64_t oldest_us() const;
};

struct ContainerDescription;
/// Start times of a container's current life, whichever of its PID namespaces was found first.
using StartsOf = std::function<LifeStarts(const ContainerDescription&)>;

/// The types under which a container's lives are kept.
inline constexpr std::initializer_list<RecordType> kOfLife = {
    RecordType::kHistory,  RecordType::kLoad,    RecordType::kIoHistory,
    RecordType::kIoLosses, RecordType::kLengths, RecordType::kCopies,
    RecordType::kReaders,  RecordType::kLife,    RecordType::kEvents};

/// What one life of a container keeps in the state file under one type: one record, which begins
/// with the start of the life, so that it is not taken for another life's. Something of an earlier
/// life may be left when the next one begins in the same cgroup: neither touches the other's
/// record, except that the later one gives back the earlier one's. Not thread-safe.
class LifeRecord {
 public:
  /// `state` may be nullptr: nothing is kept then. `version` stands before the start; 0: none does.
  LifeRecord(StateFile* state, RecordType type, uint64_t key, LifeStarts starts,
             uint64_t version = 0);

  /// Calls `unpack` with what save() was given, for each record of this life: a worker that died
  /// while it saved leaves two. The last for which it is true stays; all others are given back.
  using Unpack = std::function<bool(const void* data, size_t bytes)>;
  /// `earlier` is told of those of earlier lives before they are given back; may be empty.
  using Earlier = std::function<void(const void* data, size_t bytes)>;
  void load(const Unpack& unpack, const Earlier& earlier = {});
  /// `packed` takes the place of what was there. When the state file is full, that stays.
  void save(const std::string& packed);
  /// Changes what was saved from `offset` on; for types that change in place. Nothing happens when
  /// nothing is kept.
  void store(size_t offset, std::string_view bytes);
  /// Gives the record back, which otherwise stays for whoever asks next.
  void drop();
  /// Gives back all that this life has kept under some types, whoever has kept it. `version`: as it
  /// was constructed with.
  static void forget(StateFile* state, std::initializer_list<RecordType> types, uint64_t key,
                     const LifeStarts& starts, uint64_t version = 0);

 private:
  /// The start that a record begins with. Nothing: it is of another version.
  std::optional<uint64_t> start_in(std::string_view content) const;

  StateFile* const state_;
  const RecordType type_;
  const uint64_t key_;
  const LifeStarts starts_;
  std::string begin_;  ///< what the record begins with
  RecordIndex record_ = 0;
};

/// Appends a plain value as it lies in memory.
template <typename T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace vprocfs
