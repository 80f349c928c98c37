#include "klog/ring.h"

#include <algorithm>
#include <climits>
#include <cstring>

#include "state/two_states.h"

namespace vprocfs {
namespace {

constexpr uint64_t kMagic = 0x316d676b6f6c7076;
constexpr size_t kAlign = 8;
constexpr unsigned kMarkBits = 48;

/// How far two places that are remembered are apart at least, in bytes.
constexpr uint64_t kPlacesApart = 1024;

}  // namespace

struct LogRing::Header {
  uint64_t magic;
  TwoStates<State> state;
};

LogRing::Header* LogRing::header() const { return reinterpret_cast<Header*>(memory_); }

size_t LogRing::room() const { return (bytes_ - sizeof(Header)) / kAlign * kAlign; }

void LogRing::format() {
  state_ = State{};
  places_.clear();
  header()->state.write(state_);
  header()->magic = kMagic;
}

bool LogRing::adopt() {
  if (bytes_ < kMinBytes / 2 || header()->magic != kMagic) return false;
  const auto state = header()->state.read();
  if (!state) return false;
  state_ = *state;
  if (state_.tail > state_.head || state_.head - state_.tail > room()) return false;
  places_.clear();
  uint64_t at = state_.tail;
  uint64_t before = 0;
  for (bool first = true; at < state_.head; first = false) {
    Entry entry;
    if (!entry_at(at, entry) || (!first && entry.sequence != before + 1)) return false;
    before = entry.sequence;
    note_place(at, entry.sequence);
    at += entry.bytes;
  }
  return at == state_.head && (state_.tail == at || before + 1 == state_.next_sequence);
}

void LogRing::copy_in(uint64_t at, const void* from, size_t bytes) {
  uint8_t* ring = memory_ + sizeof(Header);
  const size_t begin = at % room(), first = std::min(bytes, room() - begin);
  std::memcpy(ring + begin, from, first);
  std::memcpy(ring, static_cast<const uint8_t*>(from) + first, bytes - first);
}

void LogRing::copy_out(uint64_t at, void* to, size_t bytes) const {
  const uint8_t* ring = memory_ + sizeof(Header);
  const size_t begin = at % room(), first = std::min(bytes, room() - begin);
  std::memcpy(to, ring + begin, first);
  std::memcpy(static_cast<uint8_t*>(to) + first, ring, bytes - first);
}

bool LogRing::entry_at(uint64_t at, Entry& out) const {
  if (state_.head - at < sizeof(Entry)) return false;
  copy_out(at, &out, sizeof out);
  return out.bytes % kAlign == 0 && out.bytes >= sizeof(Entry) + out.text_bytes &&
         out.bytes <= state_.head - at && out.text_bytes <= kLongestText;
}

/// Remembers where a new record begins, unless that of another one is near.
void LogRing::note_place(uint64_t at, uint64_t sequence) {
  if (!places_.empty() && at - places_.back().at < kPlacesApart) return;
  const auto kept = std::find_if(places_.begin(), places_.end(),
                                 [this](const Place& place) { return place.at >= state_.tail; });
  places_.erase(places_.begin(), kept);
  places_.push_back({sequence, at});
}

/// Where to begin to look for a record: not behind it.
uint64_t LogRing::start_of(uint64_t sequence) const {
  if (sequence >= state_.next_sequence) return state_.head;
  const auto before =
      std::find_if(places_.rbegin(), places_.rend(),
                   [sequence](const Place& place) { return place.sequence <= sequence; });
  return before == places_.rend() ? state_.tail : std::max(before->at, state_.tail);
}

uint64_t LogRing::first_sequence() const {
  Entry entry;
  return state_.tail < state_.head && entry_at(state_.tail, entry) ? entry.sequence
                                                                   : state_.next_sequence;
}

void LogRing::append(uint64_t time_us, uint16_t priority, std::string_view text, HostPlace host) {
  text = text.substr(0, kLongestText);
  Entry entry;
  entry.bytes = static_cast<uint32_t>((sizeof entry + text.size() + kAlign - 1) / kAlign * kAlign);
  entry.priority = priority;
  entry.text_bytes = static_cast<uint16_t>(text.size());
  entry.sequence = state_.next_sequence;
  entry.time_us = time_us;
  bool dropped = false;
  while (room() - (state_.head - state_.tail) < entry.bytes) {
    Entry oldest;
    // The ring is damaged. Nobody but us writes here, so this does not happen.
    if (!entry_at(state_.tail, oldest)) return;
    state_.tail += oldest.bytes;
    dropped = true;
  }
  // The dropped records must be gone before their room is overwritten.
  if (dropped) header()->state.write(state_);
  copy_in(state_.head, &entry, sizeof entry);
  copy_in(state_.head + sizeof entry, text.data(), text.size());
  note_place(state_.head, entry.sequence);
  state_.head += entry.bytes;
  ++state_.next_sequence;
  state_.host = host;
  header()->state.write(state_);
}

LogMarks LogRing::marks() const {
  LogMarks out;
  out.cleared = std::min(state_.cleared & LogMarks::kMaxSequence, state_.next_sequence);
  out.taken.sequence = std::min(state_.taken & LogMarks::kMaxSequence, state_.next_sequence);
  out.taken.bytes = static_cast<uint16_t>(state_.taken >> kMarkBits);
  const auto level = static_cast<uint8_t>(state_.cleared >> kMarkBits);
  if (level != 0) out.console_level = level;
  out.saved_level = static_cast<uint8_t>(state_.cleared >> (kMarkBits + CHAR_BIT));
  return out;
}

void LogRing::set_marks(const LogMarks& marks) {
  state_.cleared = (marks.cleared & LogMarks::kMaxSequence) |
                   uint64_t{marks.console_level} << kMarkBits |
                   uint64_t{marks.saved_level} << (kMarkBits + CHAR_BIT);
  state_.taken = (marks.taken.sequence & LogMarks::kMaxSequence) | uint64_t{marks.taken.bytes}
                                                                       << kMarkBits;
  header()->state.write(state_);
}

void LogRing::copy_from(const LogRing& other) {
  state_.next_sequence = other.first_sequence();
  other.for_each(0, [this](const OwnRecord& record) {
    append(record.time_us, record.priority, record.text, {});
    return true;
  });
  state_.next_sequence = other.state_.next_sequence;
  state_.host = other.state_.host;
  state_.cleared = other.state_.cleared;
  state_.taken = other.state_.taken;
  header()->state.write(state_);
}

void LogRing::for_each(uint64_t sequence,
                       const std::function<bool(const OwnRecord&)>& visit) const {
  char text[kLongestText];
  for (uint64_t at = start_of(sequence); at < state_.head;) {
    Entry entry;
    if (!entry_at(at, entry)) return;
    if (entry.sequence >= sequence) {
      copy_out(at + sizeof entry, text, entry.text_bytes);
      if (!visit({entry.sequence, entry.time_us, entry.priority, {text, entry.text_bytes}})) return;
    }
    at += entry.bytes;
  }
}

}  // namespace vprocfs
