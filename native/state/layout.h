#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "state/free_pieces.h"
#include "state/state_file.h"

// How a state file lies in memory; see StateFile.

namespace vprocfs {

constexpr size_t kStateHeaderBytes = 4096;
/// Granules of the longest record: 1 MiB.
constexpr uint32_t kLongestRecord = FreePieces::kLongest;

struct StateFile::Header {
  char magic[8];
  uint32_t version;
  uint32_t granule;
  uint64_t bytes;
  uint64_t layout_checksum;  ///< of the fields above
  ConnectionState connection;
  uint64_t connection_checksum;
  std::atomic<uint32_t> high_water;  ///< no record begins at or beyond it
};

struct StateFile::RecordHeader {
  uint32_t type;
  uint32_t bytes;
  uint64_t key;
  uint64_t checksum;  ///< of the fields above
  uint64_t content;   ///< checksum of what it holds; 0 where that changes in place
};

}  // namespace vprocfs
