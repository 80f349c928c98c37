#include "seccomp/pending_calls.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace vprocfs {

Result<Fd> PendingCalls::make() {
  Fd fd(::memfd_create("vprocfs-calls", MFD_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), sizeof(Layout)) != 0) return Error{errno, "memfd"};
  return fd;
}

bool PendingCalls::open(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0 || st.st_size != sizeof(Layout)) return false;
  memory_ = Mapping::of_file(fd, sizeof(Layout));
  return is_open();
}

size_t PendingCalls::free_parked() const {
  size_t free = 0;
  for (const Entry& entry : layout()->parked) free += entry.in_use() ? 0 : 1;
  return free;
}

std::optional<size_t> PendingCalls::park(const Entry& entry) {
  return free_parked() > kThreadSlots ? put(layout()->parked, kParked, entry) : std::nullopt;
}

std::optional<size_t> PendingCalls::put_blocked(const Entry& entry) {
  size_t in_use = 0;
  for (size_t place = 0; place < layout()->blocked_end; ++place) {
    in_use += layout()->blocked[place].in_use() ? 1 : 0;
  }
  return in_use + kWriterSlots < kBlocked ? put_blocked_in_reserve(entry) : std::nullopt;
}

std::optional<size_t> PendingCalls::put(Entry* entries, size_t end, const Entry& entry) {
  for (size_t place = 0; place < end; ++place) {
    if (entries[place].in_use()) continue;
    entries[place] = entry;
    return place;
  }
  return std::nullopt;
}

std::optional<size_t> PendingCalls::put_blocked_in_reserve(const Entry& entry) {
  const size_t end = std::min<uint64_t>(layout()->blocked_end, kBlocked);
  if (const auto place = put(layout()->blocked, end, entry)) return place;
  if (end == kBlocked) return std::nullopt;
  layout()->blocked_end = end + 1;
  layout()->blocked[end] = entry;
  return end;
}

const std::vector<PendingCalls::Leftover>& PendingCalls::leftovers() {
  // Calls in slots join those that the last worker had inherited and not settled. This empties the
  // slots for our threads and writers.
  for (Entry& from : layout()->thread_slots) {
    if (from.in_use()) put(layout()->parked, kParked, from);
    from = Entry{};
  }
  for (WriterSlot& slot : layout()->writer_slots) {
    Entry from;
    from.key = slot.key;
    from.poisoned = slot.poisoned;
    from.blocked = slot.blocked;
    from.log = slot.log;
    from.notification = slot.notification;
    // Where the parked calls leave no room it is resumed with the blocked ones.
    if (from.in_use() && !put(layout()->parked, kParked, from)) put_blocked_in_reserve(from);
    slot.key = slot.notification.id = 0;
  }
  leftovers_.clear();
  for (size_t place = 0; place < kParked; ++place) {
    const Entry& entry = layout()->parked[place];
    if (entry.in_use()) leftovers_.push_back({place, entry});
  }
  return leftovers_;
}

uint64_t PendingCalls::last_answered(uint64_t key) const {
  uint64_t id = 0;
  const auto note = [key, &id](const Entry& entry) {
    if (entry.key == key && entry.answering != 0) id = entry.answering;
  };
  for (const Entry& entry : layout()->parked) note(entry);
  for (const Entry& entry : layout()->thread_slots) note(entry);
  return id;
}

const PendingCalls::Entry* PendingCalls::answering(uint64_t key) const {
  for (const auto& [place, entry] : leftovers_) {
    if (entry.key == key && entry.answering != 0) return &entry;
  }
  return nullptr;
}

void PendingCalls::settle_answer(uint64_t key) {
  for (const auto& [place, entry] : leftovers_) {
    if (entry.key == key && entry.answering != 0) settle(place);
  }
}

}  // namespace vprocfs
