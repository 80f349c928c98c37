#include <memory>

#include "container/container.h"
#include "container/io_history.h"
#include "container/mirror.h"
#include "container/task_load.h"
#include "seccomp/call.h"
#include "source/host_source.h"
#include "survey/cgroup_figures.h"
#include "survey/memory_figures.h"
#include "testing/directory.h"
#include "testing/parts.h"
#include "testing/recorded_cgroups.h"
#include "testing/values.h"
#include "view/sysinfo_model.h"
#include "view/view.h"

namespace vprocfs {
namespace {

/// The container of an init. There are none around it.
Result<ContainerDescription> describe(const Resolver& resolver, pid_t init) {
  auto paths = resolver.init_paths(init);
  if (!paths) return paths.error();
  ContainerDescription out;
  const auto own = resolver.describe(std::move(paths.value()), init, out);
  if (!own) return own.error();
  if (!own.value()) return Error{ESRCH, "a cgroup of its own"};
  out.tenant = out.id;
  out.tenant_cgroup = out.cgroup;
  return out;
}

/// The page size in kB, which may be of another architecture: what programs use (AnonPages and
/// Mapped of meminfo) divided by its pages in vmstat. MemTotal by the zones' pages it is not: a
/// balloon takes pages from zones and leaves MemTotal as it was. 4 where that cannot be told.
uint64_t page_kb(int procfs_fd, int sysfs_fd) {
  constexpr uint64_t kUsual = 4, kLargest = 1024;
  HostSource host(procfs_fd, sysfs_fd, 0);
  const auto meminfo = host.meminfo(0);
  const auto vmstat = host.vmstat(0);
  if (!meminfo || !vmstat) return kUsual;
  uint64_t pages = 0, kb = 0;
  for (const auto& line : vmstat.value()->lines) {
    if (line.key == "nr_anon_pages" || line.key == "nr_mapped") pages += line.value;
  }
  for (const char* label : {"AnonPages", "Mapped"}) kb += meminfo.value()->value(label).value_or(0);
  // They are read one after the other: the power of two that comes nearest.
  uint64_t size = kUsual;
  while (pages > 0 && size < kLargest && pages <= kb / 3 * 2 / size) size *= 2;
  return size;
}

/// A recorded host with one container, <case>/{proc,sys,cgroup}, served by what serves live ones.
class RecordedCase {
 public:
  static Result<std::unique_ptr<RecordedCase>> open(const std::string& dir, pid_t init) {
    auto out = std::make_unique<RecordedCase>();
    for (const auto& [fd, name] : {std::pair<Fd*, const char*>{&out->proc_, "/proc"},
                                   {&out->sys_, "/sys"},
                                   {&out->cgroup_, "/cgroup"}}) {
      auto opened = open_directory(dir + name);
      if (!opened) return opened.error();
      *fd = std::move(opened.value());
    }
    auto mounts = recorded_cgroups(out->cgroup_.get());
    if (!mounts) return mounts.error();
    out->mounts_ = std::move(mounts.value());
    auto description = describe(Resolver(out->mounts_, out->proc_.get()), init);
    if (!description) return description.error();
    const HostSource::Machine machine{page_kb(out->proc_.get(), out->sys_.get()),
                                      [] { return uint64_t{0}; }};
    out->host_ = std::make_unique<HostSource>(out->proc_.get(), out->sys_.get(), 0, machine);
    SharedServices services;
    services.mounts = &out->mounts_;
    services.host = out->host_.get();
    services.procfs_fd = out->proc_.get();
    out->container_ = std::make_unique<Container>(std::move(description.value()), services);
    return out;
  }

  const CgroupMounts& mounts() const { return mounts_; }
  Container& container() { return *container_; }
  HostSource& host() { return *host_; }

  Mirror::Ask ask(uint64_t now_us) {
    return [this, now_us](uint32_t needs) { return container_->facts(needs, now_us); };
  }

  Result<std::string> render(const std::string& path, uint64_t now_us) {
    const View* view = find_view(path);
    if (view != nullptr) {
      if ((view->needs & (kNeedTasks | kNeedLoad)) != 0) count_tasks(now_us);
      return container_->render(*view, now_us);
    }
    const Mirror mirror(*host_);
    const auto place = mirror.resolve(*Mirror::below_root(path), ask(now_us));
    return place ? mirror.text(place.value(), ask(now_us)) : place.error();
  }

  /// What the container finds in a mirrored directory.
  Result<std::vector<SysfsEntry>> list(const std::string& path, uint64_t now_us) {
    const auto mirrored = Mirror::below_root(path);
    if (!mirrored) return Error{ENOENT, path};
    Mirror mirror(*host_);
    const auto place = mirror.resolve(*mirrored, ask(now_us));
    return place ? mirror.list(place.value(), ask(now_us)) : place.error();
  }

  /// What the sampler does with a first reader, every task being looked at.
  void count_tasks(uint64_t now_us) {
    constexpr uint64_t kNoHurryUs = 60000000;
    const auto load = container_->task_load();
    const auto counter = make_scan_task_counter(mounts_, proc_.get(), kNoHurryUs);
    const auto counts = counter->count({load->cgroup()});
    if (counts) load->take(counts.value()[0], now_us, now_us, true);
  }

 private:
  Fd proc_, sys_, cgroup_;
  CgroupMounts mounts_;
  std::unique_ptr<HostSource> host_;
  std::unique_ptr<Container> container_;  // borrows all of these
};

/// (caseDir, path, init, nowUs) -> the text of a file in the container of a recorded host
Result<std::string> render_fixture(const std::string& dir, const std::string& path, pid_t init,
                                   uint64_t now_us) {
  if (find_view(path) == nullptr && !Mirror::below_root(path)) return Error{ENOENT, path};
  const auto recorded = RecordedCase::open(dir, init);
  return recorded ? recorded.value()->render(path, now_us) : recorded.error();
}

/// (caseDir, path, init, nowUs) -> the names in a mirrored directory of it
Result<std::vector<std::string>> list_fixture(const std::string& dir, const std::string& path,
                                              pid_t init, uint64_t now_us) {
  const auto recorded = RecordedCase::open(dir, init);
  if (!recorded) return recorded.error();
  const auto found = recorded.value()->list(path, now_us);
  if (!found) return found.error();
  std::vector<std::string> names;
  for (const SysfsEntry& entry : found.value()) names.push_back(entry.name);
  return names;
}

/// (caseDir, init, nowUs) -> struct sysinfo as a 64-bit process of the container gets it.
Result<Bytes> sysinfo_fixture(const std::string& dir, pid_t init, uint64_t now_us) {
  const auto recorded = RecordedCase::open(dir, init);
  if (!recorded) return recorded.error();
  recorded.value()->count_tasks(now_us);
  const auto figures = recorded.value()->container().call_facts(now_us, 0);
  if (!figures) return figures.error();
  return Bytes(encode_sysinfo64(figures.value().sysinfo));
}

Napi::Value to_js(Napi::Env env, const Figures& figures) {
  JsObject out(env);
  for (size_t i = 0; i < kFigureCount; ++i) {
    const auto figure = static_cast<Figure>(i);
    if (figures.has(figure)) out.set(kFigureNames[i], Number(figures.get(figure)));
  }
  return out;
}

/// (caseDir, init, nowUs) -> what operators are told of its memory.
Result<Napi::Value> memory_figures(Napi::Env env, const std::string& dir, pid_t init,
                                   uint64_t now_us) {
  const auto recorded = RecordedCase::open(dir, init);
  if (!recorded) return recorded.error();
  RecordedCase& of = *recorded.value();
  const auto source =
      ContainerSource::open(of.mounts(), of.container().description().paths, nullptr, {});
  if (!source) return source.error();
  Figures figures;
  const auto read = read_memory_figures(of.host(), *source.value(), now_us, figures);
  if (!read) return read.error();
  return to_js(env, figures);
}

/// (caseDir, init, file of an earlier worker's counters of this container alone, which is made and
/// brought up to date as a survey does) -> the figures of its cgroups that no file under /proc
/// needs.
Result<Napi::Value> cgroup_figures(Napi::Env env, const std::string& dir, pid_t init,
                                   const std::optional<std::string>& kept) {
  const auto recorded = RecordedCase::open(dir, init);
  if (!recorded) return recorded.error();
  Figures figures;
  CounterTotals totals = CounterTotals::load(kept.value_or(""));
  RecordedCase& of = *recorded.value();
  if (totals.entries.empty()) totals.entries[of.container().id()] = {};
  KeptCounters& counters = totals.entries.begin()->second;
  CgroupFigures(of.mounts(), of.host(), of.container().description()).read(figures, counters);
  if (!counters.are_needed()) totals.entries.clear();
  if (kept) {
    const auto saved = save_totals(*kept, totals.text());
    if (!saved) return saved.error();
  }
  return to_js(env, figures);
}

/// (caseDir, init, what a worker has stored of the container's I/O, or nothing) -> what the next
/// one stores after a reading
Result<Bytes> stored_io(const std::string& dir, pid_t init, const Bytes& stored) {
  const auto recorded = RecordedCase::open(dir, init);
  if (!recorded) return recorded.error();
  RecordedCase& of = *recorded.value();
  const auto source =
      ContainerSource::open(of.mounts(), of.container().description().paths, nullptr, {});
  if (!source) return source.error();
  const auto io = source.value()->io();
  if (!io) return io.error();
  const auto disks = of.host().diskstats(0);
  if (!disks) return disks.error();
  IoHistory history;
  unpack_io_history(stored.text.data(), stored.text.size(), history);
  advance(history, io.value(), *disks.value(), of.host().disk_layers(), 0);
  return Bytes(pack_io_history(history));
}

/// (file of counters) -> its text, as far as it is understood.
std::string kept_counters(const std::string& path) { return CounterTotals::load(path).text(); }

}  // namespace

void add_recorded(Napi::Object& exports) {
  add<render_fixture>(exports, "renderFixture");
  add<list_fixture>(exports, "listFixture");
  add<sysinfo_fixture>(exports, "sysinfoFixture");
  add<cgroup_figures>(exports, "cgroupFigures");
  add<stored_io>(exports, "storedIo");
  add<kept_counters>(exports, "keptCounters");
  add<memory_figures>(exports, "memoryFigures");
}

}  // namespace vprocfs
