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

size_t PendingCalls::in_use(const Entry* entries, size_t end) {
  return static_cast<size_t>(
      std::count_if(entries, entries + end, [](const Entry& entry) { return entry.in_use(); }));
}

std::optional<size_t> PendingCalls::park(const Entry& entry) {
  return free_parked() > kThreadSlots ? park_in_reserve(entry) : std::nullopt;
}

std::optional<size_t> PendingCalls::put_blocked(const Entry& entry) {
  const size_t used = in_use(layout()->blocked, std::min(blocked_end(), kBlocked));
  return used + kWriterSlots < kBlocked ? put_blocked_in_reserve(entry) : std::nullopt;
}

std::optional<size_t> PendingCalls::put(Entry* entries, uint64_t& end, size_t limit,
                                        const Entry& entry) {
  const size_t used = std::min<uint64_t>(end, limit);
  const size_t place = static_cast<size_t>(
      std::find_if(entries, entries + used, [](const Entry& one) { return !one.in_use(); }) -
      entries);
  if (place == limit) return std::nullopt;
  // First: the next worker looks no further.
  if (place == used) end = place + 1;
  entries[place] = entry;
  return place;
}

const std::vector<PendingCalls::Leftover>& PendingCalls::leftovers() {
  // Calls in slots join those that the last worker had inherited and not settled. This empties the
  // slots for our threads and writers.
  for (Entry& from : layout()->thread_slots) {
    if (from.in_use()) park_in_reserve(from);
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
    if (from.in_use() && !park_in_reserve(from)) put_blocked_in_reserve(from);
    slot.key = slot.notification.id = 0;
  }
  leftovers_.clear();
  for (size_t place = 0; place < parked_end(); ++place) {
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
  for (size_t i = 0; i < parked_end(); ++i) note(layout()->parked[i]);
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
