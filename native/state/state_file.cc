#include "state/state_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "state/layout.h"

namespace vprocfs {

Result<Fd> StateFile::make_memfd(size_t bytes) {
  Fd fd(::memfd_create("vprocfs-state", MFD_CLOEXEC));
  if (!fd) return Error{errno, "memfd_create"};
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return Error{errno, "memfd"};
  return fd;
}

Result<std::unique_ptr<StateFile>> StateFile::open(int fd, std::string* ignored) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return Error{errno, "state file"};
  const auto bytes = static_cast<size_t>(st.st_size);
  if (bytes < kStateHeaderBytes + 64 * kGranule) return Error{EINVAL, "state file"};
  auto memory = Mapping::of_file(fd, bytes);
  if (!memory) return Error{errno, "state file"};
  std::unique_ptr<StateFile> state(new StateFile(std::move(memory)));
  std::string why;
  if (!state->adopt(&why)) {
    state->lay_out(why.empty());
    if (ignored != nullptr) *ignored = why;
  }
  const size_t damaged = state->find_room(fd);
  if (damaged != 0 && ignored != nullptr) *ignored = std::to_string(damaged) + " damaged records";
  return state;
}

StateFile::StateFile(Mapping memory)
    : memory_(std::move(memory)),
      base_(memory_.as<uint8_t>()),
      bytes_(memory_.size()),
      header_(memory_.as<Header>()) {
  static_assert(sizeof(Header) <= kStateHeaderBytes);
  const size_t room = bytes_ - kStateHeaderBytes;
  granules_ = static_cast<uint32_t>(room / (kGranule + sizeof(uint32_t)));
  data_offset_ = kStateHeaderBytes + granules_ * sizeof(uint32_t);
  data_offset_ = (data_offset_ + kGranule - 1) / kGranule * kGranule;
  granules_ = static_cast<uint32_t>((bytes_ - data_offset_) / kGranule);
}

std::atomic<uint32_t>* StateFile::table() const {
  return reinterpret_cast<std::atomic<uint32_t>*>(base_ + kStateHeaderBytes);
}

StateFile::RecordHeader* StateFile::header_of(RecordIndex record) const {
  return reinterpret_cast<RecordHeader*>(base_ + data_offset_ + size_t{record} * kGranule);
}

uint8_t* StateFile::data(RecordIndex record) {
  return reinterpret_cast<uint8_t*>(header_of(record)) + sizeof(RecordHeader);
}

uint32_t StateFile::granules_for(size_t bytes) {
  const size_t exact = (bytes + sizeof(RecordHeader) + kGranule - 1) / kGranule;
  // Few size classes, so that room given back is found again: powers of two and their midpoints.
  size_t size = 1;
  while (size < exact) {
    const size_t middle = size + size / 2;
    if (size >= 2 && exact <= middle) return static_cast<uint32_t>(middle);
    size *= 2;
  }
  return static_cast<uint32_t>(size);
}

void StateFile::note_end_locked() {
  const bool beyond = others_.used_to() > others_.first();
  header_->high_water.store(beyond ? others_.used_to() : kept_.used_to(),
                            std::memory_order_release);
}

RecordIndex StateFile::allocate(RecordType type, size_t bytes) {
  if (bytes > size_t{kLongestRecord} * kGranule - sizeof(RecordHeader)) return 0;
  const uint32_t length = granules_for(bytes);
  if (length > kLongestRecord) return 0;
  const std::lock_guard lock(mutex_);
  RecordIndex record = is_of_open_file(type) ? 0 : kept_.take(length);
  const bool lacks_room = record == 0 && !is_of_open_file(type);
  if (lacks_room && !std::exchange(rang_, true)) lacks_room_.ring();
  if (record == 0) record = others_.take(length);
  note_end_locked();
  return record;
}

void StateFile::publish(RecordIndex record, RecordType type, uint64_t key, size_t bytes) {
  RecordHeader* header = header_of(record);
  header->type = static_cast<uint32_t>(type);
  header->bytes = static_cast<uint32_t>(bytes);
  header->key = key;
  header->checksum = checksum(header, offsetof(RecordHeader, checksum));
  header->content = changes_in_place(type) ? 0 : checksum(data(record), bytes);
  uint32_t length = 0;
  {
    const std::lock_guard lock(mutex_);
    length = room_of(record).length_of(record);
    note_published_locked(record);
  }
  table()[record].store(length, std::memory_order_release);
}

void StateFile::note_published_locked(RecordIndex record) {
  const RecordHeader* header = header_of(record);
  if (is_of_open_file(static_cast<RecordType>(header->type))) return;
  by_key_[header->key].push_back(record);
}

void StateFile::note_released_locked(RecordIndex record) {
  const RecordHeader* header = header_of(record);
  if (is_of_open_file(static_cast<RecordType>(header->type))) return;
  const auto found = by_key_.find(header->key);
  if (found == by_key_.end()) return;
  std::vector<RecordIndex>& records = found->second;
  records.erase(std::remove(records.begin(), records.end(), record), records.end());
  if (records.empty()) by_key_.erase(found);
}

RecordIndex StateFile::replace(RecordIndex old, RecordType type, uint64_t key,
                               const std::string& packed, std::string_view begin) {
  const RecordIndex fresh = allocate(type, packed.size());
  if (fresh == 0) return old;
  std::memcpy(data(fresh), packed.data(), packed.size());
  publish(fresh, type, key, packed.size());
  // `fresh` may lie where `old` was, if that was released meanwhile.
  if (old != fresh) release(old, type, key, begin);
  return fresh;
}

bool StateFile::exists_locked(RecordIndex record, RecordType type, uint64_t key,
                              std::string_view begin, size_t* bytes) const {
  // A record that the table has is whole, and is released only under this lock.
  if (room_of(record).length_of(record) == 0) return false;
  if (!find(record, type, key, bytes) || *bytes < begin.size()) return false;
  return std::string_view(reinterpret_cast<const char*>(header_of(record) + 1), begin.size()) ==
         begin;
}

void StateFile::store(RecordIndex record, RecordType type, uint64_t key, std::string_view begin,
                      size_t offset, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  size_t size = 0;
  if (!exists_locked(record, type, key, begin, &size)) return;
  if (offset <= size && bytes.size() <= size - offset) {
    std::memcpy(data(record) + offset, bytes.data(), bytes.size());
  }
}

void StateFile::release_all(std::initializer_list<RecordType> types, uint64_t key,
                            std::string_view begin) {
  for (const RecordType type : types) {
    for_each_of(key, type, [&](RecordIndex at, auto) { release(at, type, key, begin); });
  }
}

void StateFile::release(RecordIndex record, RecordType type, uint64_t key, std::string_view begin) {
  const std::lock_guard lock(mutex_);
  size_t bytes = 0;
  if (!exists_locked(record, type, key, begin, &bytes)) return;
  table()[record].store(0, std::memory_order_release);
  note_released_locked(record);
  room_of(record).free(record);
}

bool StateFile::find(RecordIndex record, RecordType type, uint64_t key, size_t* bytes) const {
  if (record == 0 || record >= granules_) return false;
  const uint32_t length = table()[record].load(std::memory_order_acquire);
  if (length == 0 || length > granules_ - record) return false;
  const RecordHeader* header = header_of(record);
  if (header->checksum != checksum(header, offsetof(RecordHeader, checksum))) return false;
  if (header->type != static_cast<uint32_t>(type) || header->key != key) return false;
  if (header->bytes > size_t{length} * kGranule - sizeof(RecordHeader)) return false;
  *bytes = header->bytes;
  return true;
}

void StateFile::for_each(
    RecordType type,
    const std::function<void(RecordIndex, uint64_t key, size_t bytes)>& visit) const {
  for (const Room* part : {&kept_, &others_}) {
    uint32_t end = 0;
    {
      const std::lock_guard lock(mutex_);
      end = part->used_to();
    }
    for (uint32_t at = part->first(); at < end;) {
      const uint32_t length = table()[at].load(std::memory_order_acquire);
      size_t bytes = 0;
      uint64_t key = 0;
      bool found = false;
      if (length != 0) {
        // Under the lock: the record could be released, and its header be another one's.
        const std::lock_guard lock(mutex_);
        key = header_of(at)->key;
        found = find(at, type, key, &bytes);
      }
      if (found) visit(at, key, bytes);
      at += std::max<uint32_t>(1, length);
    }
  }
}

void StateFile::for_each_of(uint64_t key, RecordType type,
                            const std::function<void(RecordIndex, std::string_view)>& visit) const {
  struct Found {
    RecordIndex at;
    std::string content;
  };
  std::vector<Found> all;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    for (const RecordIndex at : found->second) {
      size_t bytes = 0;
      if (!find(at, type, key, &bytes)) continue;
      all.push_back({at, {reinterpret_cast<const char*>(header_of(at) + 1), bytes}});
    }
  }
  // By place in the file, as for_each() visits them.
  std::sort(all.begin(), all.end(), [](const Found& a, const Found& b) { return a.at < b.at; });
  for (const Found& one : all) visit(one.at, one.content);
}

uint64_t StateFile::checksum(const void* data, size_t bytes) {
  uint64_t hash = 14695981039346656037ull ^ bytes;
  const auto* p = static_cast<const uint8_t*>(data);
  // A word at a time, because every open computes the checksum of a snapshot.
  for (; bytes >= sizeof(uint64_t); p += sizeof(uint64_t), bytes -= sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, p, sizeof(word));
    hash = (hash ^ word) * 1099511628211ull;
    hash ^= hash >> 32;
  }
  for (; bytes > 0; ++p, --bytes) hash = (hash ^ *p) * 1099511628211ull;
  return hash;
}

ConnectionState StateFile::connection() const {
  const std::lock_guard lock(mutex_);
  const bool good =
      header_->connection_checksum == checksum(&header_->connection, sizeof(header_->connection));
  return good ? header_->connection : ConnectionState{};
}

void StateFile::set_connection(const ConnectionState& state) {
  const std::lock_guard lock(mutex_);
  header_->connection = state;
  header_->connection_checksum = checksum(&header_->connection, sizeof(header_->connection));
}

bool StateFile::repair_connection(int fd, const ConnectionState& state) {
  const auto memory = Mapping::of_file(fd, kStateHeaderBytes);
  if (!memory) return false;
  auto* header = memory.as<Header>();
  const uint64_t right = checksum(&state, sizeof(state));
  if (header->connection_checksum != right ||
      checksum(&header->connection, sizeof(header->connection)) != right) {
    header->connection = state;
    header->connection_checksum = right;
  }
  return true;
}

}  // namespace vprocfs
