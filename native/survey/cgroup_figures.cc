#include "survey/cgroup_figures.h"

#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/words.h"
#include "container/io_history.h"
#include "container/name.h"
#include "source/io_parse.h"
#include "source/parse.h"
#include "source/pressure.h"

namespace vprocfs {
namespace {

/// memory.events (mm/memcontrol.c __memory_events_show), and memory.oom_control of v1.
struct Events {
  std::optional<uint64_t> low, high, max, oom, oom_kill, oom_group_kill;
};
constexpr Key<Events> kEventKeys[] = {
    {"low", &Events::low},           {"high", &Events::high},
    {"max", &Events::max},           {"oom", &Events::oom},
    {"oom_kill", &Events::oom_kill}, {"oom_group_kill", &Events::oom_group_kill}};

struct Periods {
  std::optional<uint64_t> all, throttled;
};
constexpr Key<Periods> kPeriodKeys[] = {{"nr_periods", &Periods::all},
                                        {"nr_throttled", &Periods::throttled}};

struct Event {
  std::optional<uint64_t> Events::*reading;
  CgroupCount count;
  Figure figure;
};
constexpr Event kEvents[] = {
    {&Events::low, CgroupCount::kEventsLow, Figure::kEventsLow},
    {&Events::high, CgroupCount::kEventsHigh, Figure::kEventsHigh},
    {&Events::max, CgroupCount::kEventsMax, Figure::kEventsMax},
    {&Events::oom, CgroupCount::kEventsOom, Figure::kEventsOom},
    {&Events::oom_kill, CgroupCount::kOomKills, Figure::kOomKills},
    {&Events::oom_group_kill, CgroupCount::kOomGroupKills, Figure::kOomGroupKills}};

struct Resource {
  const char* file;
  CgroupCount waiting_us, stalled_us;
  Figure waiting, stalled, average;
};
constexpr Resource kResources[] = {
    {"cpu.pressure", CgroupCount::kCpuWaiting, CgroupCount::kCpuStalled, Figure::kCpuWaiting,
     Figure::kCpuStalled, Figure::kCpuPressure},
    {"memory.pressure", CgroupCount::kMemoryWaiting, CgroupCount::kMemoryStalled,
     Figure::kMemoryWaiting, Figure::kMemoryStalled, Figure::kMemoryPressure},
    {"io.pressure", CgroupCount::kIoWaiting, CgroupCount::kIoStalled, Figure::kIoWaiting,
     Figure::kIoStalled, Figure::kIoPressure}};

/// The root is nobody's own: the figures there are the node's.
CgroupPlace own(CgroupPlace place) {
  return place.dir && place.dir->depth() > 0 ? std::move(place) : CgroupPlace();
}

bool is_same(const CgroupPlace& a, const CgroupPlace& b) {
  struct stat one {};
  struct stat other {};
  return a.dir && b.dir && ::fstat(a.dir->fd(), &one) == 0 && ::fstat(b.dir->fd(), &other) == 0 &&
         one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

CgroupPlace open_at(const Hierarchy& tree, const std::string& path) {
  auto dir = CgroupDir::open(tree, path);
  return dir ? own({std::move(dir.value()), tree.v2}) : CgroupPlace();
}

}  // namespace

CgroupFigures::CgroupFigures(const CgroupMounts& mounts, HostSource& host,
                             const ContainerDescription& container)
    : host_(host) {
  CgroupOpener opener(mounts, container.paths, nullptr);
  const auto open = [&opener](Controller controller) {
    Error none;
    return own(opener.of(controller, true, none));
  };
  memory_ = open(Controller::kMemory);
  cpu_ = open(Controller::kCpu);
  around_ = around(mounts, container);
  pids_ = open(Controller::kPids);
  io_ = open(Controller::kIo);
  // Only a container that is named by its cgroup2 directory has one of its own for certain.
  if (container.id.hierarchy() != IdentityHierarchy::kV2 || mounts.v2() == nullptr) return;
  for (const CgroupPlace& known : {memory_, cpu_, pids_, io_}) {
    if (known.v2) pressure_ = known;
  }
  if (!pressure_.dir) pressure_ = open_at(*mounts.v2(), container.paths.v2);
}

void CgroupFigures::move(const CgroupMounts& mounts, const ContainerDescription& container,
                         KeptCounters& kept) {
  Figures last;
  read(last, kept);
  CgroupFigures moved(mounts, host_, container);
  for (CgroupPlace CgroupFigures::*place :
       {&CgroupFigures::memory_, &CgroupFigures::cpu_, &CgroupFigures::around_,
        &CgroupFigures::pids_, &CgroupFigures::io_, &CgroupFigures::pressure_}) {
    // Counters go on where the cgroup is the same.
    if (!is_same(this->*place, moved.*place)) this->*place = std::move(moved.*place);
  }
}

CgroupPlace CgroupFigures::around(const CgroupMounts& mounts,
                                  const ContainerDescription& container) {
  const Hierarchy* tree = mounts.of(Controller::kCpu);
  if (tree == nullptr) return {};
  const std::string& path = container.paths.of(mounts, Controller::kCpu);
  const std::string limited = limited_cgroup(path);
  return limited == path ? CgroupPlace() : open_at(*tree, limited);
}

std::optional<std::string_view> CgroupFigures::text(const CgroupPlace& place, const char* name,
                                                    bool* failed) {
  if (!place.dir) return std::nullopt;
  const auto fd = open_file(place.dir->fd(), name);
  if (fd && buffer_.read_record(fd.value().get()) == 0) return buffer_.text();
  const bool is_absent = !fd && fd.error().code == ENOENT;
  if (failed != nullptr && !is_absent) *failed = true;
  return std::nullopt;
}

void CgroupFigures::read(Figures& out, KeptCounters& kept) {
  read_events(out, kept);
  read_periods(out, kept);
  read_pressure(out, kept);
  read_pids(out);
  read_io(out, kept);
}

bool CgroupFigures::is_elsewhere(CgroupCount which, const CgroupPlace& place) const {
  const Counted& counted = counted_[static_cast<size_t>(which)];
  return counted.at && counted.at != place.dir;
}

double CgroupFigures::tell(CgroupCount which, const CgroupPlace& place, uint64_t reading,
                           KeptCounters& kept) {
  Counted& counted = counted_[static_cast<size_t>(which)];
  MovedCounter& counter = kept.counts[static_cast<size_t>(which)];
  if (!counted.at) counter.begin(reading);
  if (is_elsewhere(which, place)) counter = {counted.reported, reading};
  counted = {place.dir, counter.take(reading)};
  return static_cast<double>(counted.reported);
}

double CgroupFigures::tell_io(CgroupCount which, uint64_t reading, UnfailingCounter& counter,
                              KeptCounters& kept) {
  if (is_elsewhere(which, io_)) counter = {reading, 0};
  counter.take(reading);
  return tell(which, io_, counter.reported(), kept);
}

void CgroupFigures::read_events(Figures& out, KeptCounters& kept) {
  Events events;
  if (const auto found = text(memory_, memory_.v2 ? "memory.events" : "memory.oom_control")) {
    parse_table(*found, kEventKeys, events);
  }
  if (!memory_.v2) {
    if (const auto found = text(memory_, "memory.failcnt")) events.max = parse_u64(*found);
  }
  for (const Event& event : kEvents) {
    const auto reading = events.*event.reading;
    if (reading) out.set(event.figure, tell(event.count, memory_, *reading, kept));
  }
}

bool CgroupFigures::has_quota(const CgroupPlace& place) {
  const auto found = text(place, place.v2 ? "cpu.max" : "cpu.cfs_quota_us");
  if (!found) return false;
  std::string_view rest = *found;
  return parse_u64(take_word(rest)).has_value();
}

void CgroupFigures::read_periods(Figures& out, KeptCounters& kept) {
  Periods periods;
  const bool is_around = around_.dir && !has_quota(cpu_) && has_quota(around_);
  const CgroupPlace& place = is_around ? around_ : cpu_;
  const auto found = text(place, "cpu.stat");
  if (found) parse_table(*found, kPeriodKeys, periods);
  if (periods.all) {
    out.set(Figure::kPeriods, tell(CgroupCount::kPeriods, place, *periods.all, kept));
  }
  if (periods.throttled) {
    out.set(Figure::kThrottledPeriods,
            tell(CgroupCount::kThrottledPeriods, place, *periods.throttled, kept));
  }
}

void CgroupFigures::read_pressure(Figures& out, KeptCounters& kept) {
  const auto seconds = [this, &kept](CgroupCount which, uint64_t total_us) {
    return tell(which, pressure_, total_us, kept) / 1e6;
  };
  for (const Resource& resource : kResources) {
    const auto found = text(pressure_, resource.file);
    const auto pressure = found ? parse_pressure(*found) : std::nullopt;
    if (!pressure) continue;
    if (pressure->some) {
      out.set(resource.waiting, seconds(resource.waiting_us, pressure->some->total_us));
      out.set(resource.average, static_cast<double>(pressure->some->averages[0]) / 100);
    }
    if (pressure->full) {
      out.set(resource.stalled, seconds(resource.stalled_us, pressure->full->total_us));
    }
  }
}

void CgroupFigures::read_pids(Figures& out) {
  if (const auto found = text(pids_, "pids.current")) out.set(Figure::kPids, parse_u64(*found));
  if (const auto found = text(pids_, "pids.max")) out.set(Figure::kPidsLimit, parse_u64(*found));
}

void CgroupFigures::read_io(Figures& out, KeptCounters& kept) {
  IoFacts io;
  bool is_counted = false, failed = false;
  if (io_.v2) {
    const auto found = text(io_, "io.stat", &failed);
    is_counted = found.has_value();
    if (found) add_io_stat(*found, io);
  } else {
    for (const BlkioFile& file : kBlkioFiles) {
      if (file.unit != IoUnit::kBytes) continue;
      auto found = text(io_, file.name, &failed);
      if (!found) found = text(io_, file.older, &failed);
      is_counted = is_counted || found;
      if (found) add_blkio(*found, file.unit, io);
    }
  }
  // What could not be read would count as lost.
  if (!is_counted || failed) return;
  const uint64_t now_us = boottime_us();
  const auto disks = host_.diskstats(now_us);
  if (!disks) return;
  IoHistory all;
  if (!advance(all, io, *disks.value(), host_.disk_layers(), now_us).is_whole) return;
  const IoTotals totals = all.sums.totals();
  out.set(Figure::kReadBytes,
          tell_io(CgroupCount::kReadBytes, totals.read_bytes, kept.read_bytes, kept));
  out.set(Figure::kWrittenBytes,
          tell_io(CgroupCount::kWrittenBytes, totals.written_bytes, kept.written_bytes, kept));
}

}  // namespace vprocfs
