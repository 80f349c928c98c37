#include "container/event_history.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/wide.h"

namespace vprocfs {
namespace {

static_assert(std::is_trivially_copyable_v<EventHistory>);

/// What a reading in another cgroup is compared with: nothing was counted there for the container.
constexpr uint64_t kElsewhere = UINT64_MAX;

}  // namespace

uint64_t EventHistory::reported() const {
  uint64_t sum = 0;
  for (const Counter& counter : counters) sum = saturating_add(sum, counter.reported);
  return sum;
}

bool advance(EventHistory& history, uint64_t place, std::vector<MemoryEvent>& events) {
  bool changed = place != history.place;
  if (changed && history.place != 0) {
    for (EventHistory::Counter& counter : history.counters) counter.seen = kElsewhere;
  }
  history.place = place;
  for (size_t i = 0; i < history.counters.size(); ++i) {
    EventHistory::Counter& counter = history.counters[i];
    const auto event = std::find_if(events.begin(), events.end(), [&](const MemoryEvent& one) {
      return one.key == EventHistory::kKeys[i];
    });
    if (event == events.end()) {
      if (counter.reported != 0) events.push_back({EventHistory::kKeys[i], counter.reported});
      continue;
    }
    changed = changed || counter.seen != event->count;
    if (event->count > counter.seen) {
      counter.reported = saturating_add(counter.reported, event->count - counter.seen);
    }
    counter.seen = event->count;
    event->count = counter.reported;
  }
  return changed;
}

std::string pack_events(const EventHistory& history) {
  return {reinterpret_cast<const char*>(&history), sizeof(history)};
}

bool unpack_events(const void* data, size_t bytes, EventHistory& out) {
  if (bytes != sizeof(out)) return false;
  std::memcpy(&out, data, bytes);
  return true;
}

}  // namespace vprocfs
