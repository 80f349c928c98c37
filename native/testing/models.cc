#include <algorithm>
#include <utility>

#include "container/cpu_model.h"
#include "container/cpu_move.h"
#include "container/event_history.h"
#include "container/history_record.h"
#include "container/io_losses.h"
#include "survey/cpu_totals.h"
#include "survey/ended_kills.h"
#include "survey/epoch.h"
#include "survey/kill_place.h"
#include "testing/cpu_members.h"
#include "testing/parts.h"
#include "view/stable.h"

namespace vprocfs {

/// One reading of a cgroup.
struct EventReading {
  uint64_t place = 0;
  std::vector<MemoryEvent> events;
};
constexpr auto members(const MemoryEvent*) {
  using S = MemoryEvent;
  return std::tuple(member("key", &S::key), member("count", &S::count));
}
constexpr auto members(const EventReading*) {
  using S = EventReading;
  return std::tuple(member("place", &S::place), member("events", &S::events));
}

/// What a container of v1 has read from devices, by their major numbers.
struct DiskReading {
  uint64_t place = 0;
  std::vector<uint32_t> present, used;
  std::vector<uint64_t> read_bytes;
};
constexpr auto members(const DiskReading*) {
  using S = DiskReading;
  return std::tuple(member("place", &S::place), member("present", &S::present),
                    member("used", &S::used), member("readBytes", &S::read_bytes));
}

/// What a survey tells of CPU time, s.
struct SurveyedTime {
  double user_s = 0, nice_s = 0;
};
constexpr auto members(const SurveyedTime*) {
  using S = SurveyedTime;
  return std::tuple(member("userS", &S::user_s), member("niceS", &S::nice_s));
}

constexpr auto members(const StableLength*) {
  using S = StableLength;
  return std::tuple(member("bytes", &S::bytes), member("seam", &S::seam));
}

namespace {

/// (samples, saved?) -> what is reported after each; `saved`: between any two the history is saved,
/// and read again
std::vector<CpuReport> advance_samples(const std::vector<CpuSample>& samples,
                                       const std::optional<bool>& saved) {
  CpuHistory history;
  std::vector<CpuReport> out;
  for (const CpuSample& sample : samples) {
    if (saved.value_or(false) && !out.empty()) {
      const std::string packed = pack_history(history);
      unpack_history(packed.data(), packed.size(), history);
    }
    out.push_back(advance(history, sample));
  }
  return out;
}

/// (samples, the cgroup of each) -> what is reported after each
std::vector<CpuReport> advance_moved(const std::vector<CpuSample>& samples,
                                     const std::vector<uint64_t>& places) {
  CpuHistory history;
  CpuMoves moves;
  std::vector<CpuReport> out;
  uint64_t before = places.empty() ? 0 : places[0];
  for (size_t i = 0; i < std::min(samples.size(), places.size()); ++i) {
    const CpuSample& sample = samples[i];
    if (places[i] != before) {
      moves.begin_elsewhere(history, sample.usage, {before, before}, {places[i], places[i]},
                            sample.uptime_us - history.uptime_us, sample.host_cpuset.size());
    }
    before = places[i];
    out.push_back(advance(history, sample));
  }
  return out;
}

/// (readings, saved?) -> what is told after each; `saved` as above
std::vector<std::vector<MemoryEvent>> advance_events(const std::vector<EventReading>& readings,
                                                     const std::optional<bool>& saved) {
  EventHistory history;
  std::vector<std::vector<MemoryEvent>> out;
  for (const EventReading& reading : readings) {
    if (saved.value_or(false)) {
      const std::string packed = pack_events(history);
      history = {};
      unpack_events(packed.data(), packed.size(), history);
    }
    advance(history, reading.place, out.emplace_back(reading.events));
  }
  return out;
}

/// (samples) -> what is reported after each, by a worker of its own
std::vector<CpuReport> advance_inherited(const std::vector<CpuSample>& samples) {
  CpuHistory history;
  std::vector<CpuReport> out;
  for (const CpuSample& sample : samples) {
    if (!out.empty()) {
      const std::string packed = pack_history(history);
      unpack_history(packed.data(), packed.size(), history);
      go_on(history, sample.usage);
    }
    out.push_back(advance(history, sample));
  }
  return out;
}

/// (samples, the cgroup of each, from which on they are another worker's) -> what surveys tell of
std::vector<SurveyedTime> surveyed_time(const std::vector<CpuSample>& samples,
                                        const std::vector<uint64_t>& places,
                                        const std::optional<uint64_t>& begins) {
  CpuTotals totals;
  KeptCounters kept;
  std::vector<SurveyedTime> out;
  for (size_t i = 0; i < std::min(samples.size(), places.size()); ++i) {
    const CpuSample& sample = samples[i];
    if (i == begins) {
      totals = {};
      if (!kept.are_needed()) kept = {};
    }
    totals.take(sample.usage, {places[i], places[i]}, sample.host_cpuset.size(), sample.uptime_us,
                kept);
    Figures figures;
    totals.tell(kept, figures);
    out.push_back({figures.get(Figure::kCpuUser), figures.get(Figure::kCpuNice)});
  }
  return out;
}

/// (the log's line about a kill, when it was logged, how much earlier or later that may have been,
/// a container's memory cgroup and its oldest start, whether its cgroup has had a kill if that is
/// known) -> "elsewhere", "own" or "below"
std::string kill_place(std::string_view line, uint64_t at_us, uint64_t slack_us,
                       const std::string& own, uint64_t oldest_us,
                       const std::optional<bool>& had_kill) {
  OomKill kill = parse_oom_kill(line).value_or(OomKill());
  kill.at_us = at_us;
  kill.slack_us = slack_us;
  const KillPlace place =
      place_of(kill, own, oldest_us, [&](const std::string&) { return had_kill; });
  if (place == KillPlace::kElsewhere) return "elsewhere";
  return place == KillPlace::kOwn ? "own" : "below";
}

/// (the states of one kill's owners at each survey: "shown", "lives", "ended") -> how many kills
/// have been counted after each
std::vector<uint64_t> count_ended_kill(const std::vector<std::vector<std::string>>& surveys) {
  EndedKills kills;
  EndedKills::Owners owners;
  for (size_t i = 0; !surveys.empty() && i < surveys[0].size(); ++i) {
    owners.push_back(ContainerId::from_packed(i));
  }
  kills.add({owners});
  std::vector<uint64_t> out;
  for (const auto& states : surveys) {
    kills.settle([&states](ContainerId id) {
      const std::string& state = states.at(id.packed());
      if (state == "shown") return EndedKills::Container::kShown;
      return state == "lives" ? EndedKills::Container::kLives : EndedKills::Container::kEnded;
    });
    out.push_back(kills.count());
  }
  return out;
}

/// (times since the epoch, the same of CLOCK_BOOTTIME, a moment of that) -> what is told of the
/// moment at each
std::vector<double> tell_since_epoch(const std::vector<double>& now_s,
                                     const std::vector<uint64_t>& now_us, uint64_t moment_us) {
  Epoch epoch;
  std::vector<double> out;
  for (size_t i = 0; i < std::min(now_s.size(), now_us.size()); ++i) {
    epoch.observe({now_s[i], now_us[i]});
    out.push_back(epoch.of(moment_us));
  }
  return out;
}

/// (what CLOCK_REALTIME says, s, and CLOCK_BOOTTIME, µs, each time that it is read) -> when the
/// node was booted, s since the epoch
Result<double> booted_since_epoch(const std::vector<double>& realtime_s,
                                  const std::vector<uint64_t>& boottime_us) {
  if (realtime_s.empty() || boottime_us.empty()) return Error{EINVAL, "no times"};
  size_t realtimes = 0, boottimes = 0;
  const auto now =
      read_clock_pair([&] { return realtime_s[std::min(realtimes++, realtime_s.size() - 1)]; },
                      [&] { return boottime_us[std::min(boottimes++, boottime_us.size() - 1)]; });
  return now.since_epoch_s - static_cast<double>(now.boottime_us) / 1e6;
}

/// (readings) -> the bytes read of each device that are told of after each
std::vector<std::vector<uint64_t>> restore_io(const std::vector<DiskReading>& readings) {
  IoLosses losses;
  std::vector<std::vector<uint64_t>> out;
  for (const DiskReading& reading : readings) {
    IoFacts io;
    io.loses_ended = true;
    io.place = reading.place;
    for (size_t i = 0; i < std::min(reading.used.size(), reading.read_bytes.size()); ++i) {
      DeviceIo& device = io.devices.emplace_back();
      device.device.major = reading.used[i];
      device.read_bytes = reading.read_bytes[i];
    }
    std::vector<HostDisk> disks;
    for (const uint32_t major : reading.present) disks.emplace_back().device.major = major;
    losses.restore(io, true, &disks);
    std::vector<uint64_t> told;
    for (const DeviceIo& device : io.devices) told.push_back(device.read_bytes);
    out.push_back(std::move(told));
  }
  return out;
}

/// ({ cpuset, bandwidth }, online CPUs) -> the CPUs that a container with these limits is shown
CpuSet shown_cpus_of(const CpuLimitFacts& limits, const CpuSet& online) {
  return shown_cpus(limits, {online, online});
}

/// (text, { bytes, seam }, fixed) -> { text, bytes, seam }: a file's next text and length in
/// `tick`.
Napi::Value stabilised(Napi::Env env, std::string text, const StableLength& before, bool fixed) {
  const StableLength length = stabilise(text, before, fixed);
  return JsObject(env)
      .set("text", text)
      .set("bytes", Number(length.bytes))
      .set("seam", Number(length.seam));
}

}  // namespace

void add_models(Napi::Object& exports) {
  add<advance_samples>(exports, "advanceSamples");
  add<advance_moved>(exports, "advanceMoved");
  add<advance_events>(exports, "advanceEvents");
  add<advance_inherited>(exports, "advanceInherited");
  add<surveyed_time>(exports, "surveyedTime");
  add<kill_place>(exports, "killPlace");
  add<count_ended_kill>(exports, "countEndedKill");
  add<tell_since_epoch>(exports, "tellSinceEpoch");
  add<booted_since_epoch>(exports, "bootedSinceEpoch");
  add<restore_io>(exports, "restoreIo");
  add<shown_cpus_of>(exports, "shownCpus");
  add<stabilised>(exports, "stabilised");
}

}  // namespace vprocfs
