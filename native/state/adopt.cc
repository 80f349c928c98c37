// What a worker does with a state file that it takes over.

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "state/layout.h"

namespace vprocfs {
namespace {

constexpr char kMagic[8] = {'v', 'p', 'r', 'o', 'c', 'f', 's', '\1'};
constexpr uint32_t kTablePage = 4096 / sizeof(uint32_t);  // entries in one page of the table

/// The first granule from `at` on whose page of the table was ever written; `end` if none was.
/// Reading the other pages would take memory for them.
uint32_t skip_holes(int fd, uint32_t at, uint32_t end) {
  const off_t from = static_cast<off_t>(kStateHeaderBytes + at * sizeof(uint32_t));
  const off_t data = ::lseek(fd, from, SEEK_DATA);
  if (data < 0) return errno == ENXIO ? end : at;
  const auto found = (static_cast<size_t>(data) - kStateHeaderBytes) / sizeof(uint32_t);
  return std::max(at, static_cast<uint32_t>(std::min<size_t>(end, found)));
}

}  // namespace

bool StateFile::adopt(std::string* why) {
  // A fresh file has at most the connection, which the keeper puts there.
  const auto is_zero = [](uint8_t b) { return b == 0; };
  if (std::all_of(base_, base_ + offsetof(Header, connection), is_zero)) return false;
  if (std::memcmp(header_->magic, kMagic, sizeof(kMagic)) != 0) {
    *why = "foreign content";
  } else if (header_->version != kVersion || header_->granule != kGranule) {
    *why = "another layout version";
  } else if (header_->bytes != bytes_ ||
             header_->layout_checksum != checksum(header_, offsetof(Header, layout_checksum)) ||
             header_->high_water > granules_) {
    *why = "damaged header";
  } else {
    return true;
  }
  return false;
}

void StateFile::lay_out(bool fresh) {
  // The kernel's connection does not depend on the layout: a state file of another version must not
  // make us forget that INIT is over. The connection has its own checksum.
  const bool keep =
      header_->connection_checksum == checksum(&header_->connection, sizeof(header_->connection)) &&
      header_->connection.initialised == 1;
  const ConnectionState connection = keep ? header_->connection : ConnectionState{};
  // The table of a fresh file is all zero; writing it again would take memory for all of it.
  std::memset(static_cast<void*>(base_), 0, fresh ? kStateHeaderBytes : data_offset_);
  std::memcpy(header_->magic, kMagic, sizeof(kMagic));
  header_->version = kVersion;
  header_->granule = kGranule;
  header_->bytes = bytes_;
  header_->layout_checksum = checksum(header_, offsetof(Header, layout_checksum));
  set_connection(connection);
}

bool StateFile::intact(RecordIndex record, uint32_t length) const {
  const RecordHeader* header = header_of(record);
  if (header->checksum != checksum(header, offsetof(RecordHeader, checksum))) return false;
  const size_t room = size_t{length} * kGranule - sizeof(RecordHeader);
  if (header->bytes > room) return false;
  if (changes_in_place(static_cast<RecordType>(header->type))) return true;
  return header->content == checksum(header + 1, header->bytes);
}

size_t StateFile::find_room(int fd) {
  struct Run {
    uint32_t at, length;
  };
  const std::lock_guard lock(mutex_);
  size_t damaged = 0;
  std::vector<Run> runs;
  uint32_t split = 1 + granules_ / 5 * 2;
  const uint32_t end = header_->high_water.load();
  for (uint32_t at = 1; at < end;) {
    if (at % kTablePage == 0) at = skip_holes(fd, at, end);
    if (at == end) break;
    const uint32_t length = table()[at].load(std::memory_order_acquire);
    const bool possible = length != 0 && length <= std::min(end - at, kLongestRecord);
    if (possible && intact(at, length)) {
      // Only its first granule may have a length. Once it is released, those of others would be
      // taken for records.
      for (uint32_t i = 1; i < length; ++i) {
        if (table()[at + i].load(std::memory_order_relaxed) != 0) table()[at + i].store(0);
      }
      runs.push_back({at, length});
      // A worker of a version without parts may have put a record across the boundary.
      if (at < split && at + length > split) split = at + length;
      at += length;
      continue;
    }
    if (length != 0) {
      ++damaged;
      table()[at].store(0);
    }
    ++at;
  }
  kept_ = Room(1, split);
  others_ = Room(split, granules_);
  for (const Run& run : runs) room_of(run.at).adopt(run.at, run.length);
  kept_.merge();
  others_.merge();
  note_end_locked();
  for (const Run& run : runs) note_published_locked(run.at);
  return damaged;
}

std::vector<uint64_t> StateFile::keys() const {
  std::vector<uint64_t> keys;
  const std::lock_guard lock(mutex_);
  keys.reserve(by_key_.size());
  for (const auto& [key, records] : by_key_) keys.push_back(key);
  return keys;
}

void StateFile::watch_room() {
  lacks_room_.drain();
  const std::lock_guard lock(mutex_);
  rang_ = false;
}

}  // namespace vprocfs
