#include "survey/cgroup_figures.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "source/parse.h"

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

/// The value of "name=" in a line; empty without one.
std::string_view value_of(std::string_view line, std::string_view name) {
  while (!line.empty()) {
    const std::string_view word = take_word(line);
    if (word.substr(0, name.size()) == name) return word.substr(name.size());
  }
  return {};
}

/// "0.25", as the kernel writes averages: digits, a point, two digits.
std::optional<double> parse_average(std::string_view text) {
  const size_t point = text.find('.');
  if (point == std::string_view::npos) return std::nullopt;
  const auto whole = parse_u64(text.substr(0, point));
  const auto cents = parse_u64(text.substr(point + 1));
  if (!whole || !cents || text.size() - point != 3) return std::nullopt;
  return static_cast<double>(*whole * 100 + *cents) / 100;
}

struct Resource {
  const char* file;
  Figure waiting, stalled, average;
};
constexpr Resource kResources[] = {
    {"cpu.pressure", Figure::kCpuWaiting, Figure::kCpuStalled, Figure::kCpuPressure},
    {"memory.pressure", Figure::kMemoryWaiting, Figure::kMemoryStalled, Figure::kMemoryPressure},
    {"io.pressure", Figure::kIoWaiting, Figure::kIoStalled, Figure::kIoPressure}};

}  // namespace

CgroupFigures::CgroupFigures(const CgroupMounts& mounts, const ContainerDescription& container) {
  memory_ = place(mounts, container, Controller::kMemory);
  cpu_ = place(mounts, container, Controller::kCpu);
  pids_ = place(mounts, container, Controller::kPids);
  io_ = place(mounts, container, Controller::kIo);
  // Only a container that is named by its cgroup2 directory has one of its own for certain.
  if (container.id.hierarchy() != IdentityHierarchy::kV2 || mounts.v2() == nullptr) return;
  for (const Place& known : {memory_, cpu_, pids_, io_}) {
    if (known.v2 && known.dir) pressure_ = known;
  }
  if (pressure_.dir) return;
  auto dir = CgroupDir::open(*mounts.v2(), container.paths.v2);
  if (dir && dir.value()->depth() > 0) pressure_ = {std::move(dir.value()), true};
}

CgroupFigures::Place CgroupFigures::place(const CgroupMounts& mounts,
                                          const ContainerDescription& container,
                                          Controller controller) const {
  const Hierarchy* tree = mounts.of(controller);
  if (tree == nullptr) return {};
  if (tree->v2) {
    // On cgroup2 all controllers share one directory.
    for (const Place& known : {memory_, cpu_, pids_}) {
      if (known.v2 && known.dir) return known;
    }
  }
  const std::string& path =
      tree->v2 ? container.paths.v2 : container.paths.v1[static_cast<size_t>(controller)];
  if (path.empty()) return {};
  auto dir = CgroupDir::open(*tree, path);
  // At the root the figures would be the node's.
  if (!dir || dir.value()->depth() == 0) return {};
  return {std::move(dir.value()), tree->v2};
}

std::optional<std::string_view> CgroupFigures::text(const Place& place, const char* name) {
  if (!place.dir) return std::nullopt;
  const auto fd = open_file(place.dir->fd(), name);
  if (!fd || buffer_.read_record(fd.value().get()) != 0) return std::nullopt;
  return buffer_.text();
}

void CgroupFigures::read(Figures& out) {
  read_events(out);
  read_periods(out);
  read_pressure(out);
  read_pids(out);
  read_io(out);
}

void CgroupFigures::read_events(Figures& out) {
  Events events;
  if (const auto found = text(memory_, memory_.v2 ? "memory.events" : "memory.oom_control")) {
    parse_table(*found, kEventKeys, events);
  }
  if (!memory_.v2) {
    if (const auto found = text(memory_, "memory.failcnt")) events.max = parse_u64(*found);
  }
  out.set(Figure::kEventsLow, events.low);
  out.set(Figure::kEventsHigh, events.high);
  out.set(Figure::kEventsMax, events.max);
  out.set(Figure::kEventsOom, events.oom);
  out.set(Figure::kOomKills, events.oom_kill);
  out.set(Figure::kOomGroupKills, events.oom_group_kill);
}

void CgroupFigures::read_periods(Figures& out) {
  Periods periods;
  if (const auto found = text(cpu_, "cpu.stat")) parse_table(*found, kPeriodKeys, periods);
  out.set(Figure::kPeriods, periods.all);
  out.set(Figure::kThrottledPeriods, periods.throttled);
}

void CgroupFigures::read_pressure(Figures& out) {
  for (const Resource& resource : kResources) {
    const auto found = text(pressure_, resource.file);
    if (!found) continue;
    for_each_line(*found, [&](std::string_view line) {
      const bool some = take_word(line) == "some";
      out.set_micro(some ? resource.waiting : resource.stalled,
                    parse_u64(value_of(line, "total=")));
      const auto average = some ? parse_average(value_of(line, "avg10=")) : std::nullopt;
      if (average) out.set(resource.average, *average);
    });
  }
}

void CgroupFigures::read_pids(Figures& out) {
  if (const auto found = text(pids_, "pids.current")) out.set(Figure::kPids, parse_u64(*found));
  if (const auto found = text(pids_, "pids.max")) out.set(Figure::kPidsLimit, parse_u64(*found));
}

void CgroupFigures::read_io(Figures& out) {
  uint64_t read = 0, written = 0;
  if (io_.v2) {
    const auto found = text(io_, "io.stat");
    if (!found) return;
    for_each_line(*found, [&](std::string_view line) {
      read += parse_u64(value_of(line, "rbytes=")).value_or(0);
      written += parse_u64(value_of(line, "wbytes=")).value_or(0);
    });
  } else {
    auto found = text(io_, "blkio.throttle.io_service_bytes_recursive");
    if (!found) found = text(io_, "blkio.throttle.io_service_bytes");
    if (!found) return;
    // "8:0 Read 4096"; the last line is a total without a device.
    for_each_line(*found, [&](std::string_view line) {
      if (take_word(line).find(':') == std::string_view::npos) return;
      const std::string_view what = take_word(line);
      const uint64_t bytes = parse_u64(line).value_or(0);
      if (what == "Read") read += bytes;
      if (what == "Write") written += bytes;
    });
  }
  out.set(Figure::kReadBytes, static_cast<double>(read));
  out.set(Figure::kWrittenBytes, static_cast<double>(written));
}

}  // namespace vprocfs
