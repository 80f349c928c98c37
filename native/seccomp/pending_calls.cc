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

// Threads that have looked at the same time each find a place to put theirs aside.
bool PendingCalls::has_room() const { return free_parked() > 2 * kHands; }

std::optional<size_t> PendingCalls::park(const Entry& entry) {
  return free_parked() > kHands ? put(layout()->parked, kParked, entry) : std::nullopt;
}

std::optional<size_t> PendingCalls::hold(const Entry& entry) {
  size_t in_use = 0;
  for (size_t place = 0; place < layout()->held_end; ++place) {
    in_use += layout()->held[place].in_use() ? 1 : 0;
  }
  return in_use + kDesks < kHeld ? put_held(entry) : std::nullopt;
}

std::optional<size_t> PendingCalls::put(Entry* entries, size_t end, const Entry& entry) {
  for (size_t place = 0; place < end; ++place) {
    if (entries[place].in_use()) continue;
    entries[place] = entry;
    return place;
  }
  return std::nullopt;
}

std::optional<size_t> PendingCalls::put_held(const Entry& entry) {
  const size_t end = std::min<uint64_t>(layout()->held_end, kHeld);
  if (const auto place = put(layout()->held, end, entry)) return place;
  if (end == kHeld) return std::nullopt;
  layout()->held_end = end + 1;
  layout()->held[end] = entry;
  return end;
}

const std::vector<PendingCalls::Leftover>& PendingCalls::leftovers() {
  // Those of the last worker join those that it had not settled itself, and only then threads and
  // writers get their places.
  for (Entry& from : layout()->hands) {
    if (from.in_use()) put(layout()->parked, kParked, from);
    from = Entry{};
  }
  for (Desk& desk : layout()->desks) {
    Entry from;
    from.key = desk.key;
    from.poisoned = desk.poisoned;
    from.held = desk.held;
    from.log = desk.log;
    from.notification = desk.notification;
    // What there is no room for is taken up with what was held.
    if (from.in_use() && !put(layout()->parked, kParked, from)) put_held(from);
    desk.key = desk.notification.id = 0;
  }
  leftovers_.clear();
  for (size_t place = 0; place < kParked; ++place) {
    const Entry& entry = layout()->parked[place];
    if (entry.in_use()) leftovers_.push_back({place, entry});
  }
  return leftovers_;
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
