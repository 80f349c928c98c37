// The addon of the tests: parsers, sources, models and views without a mount. What it takes and
// returns is typed in test/support/testing.ts; bad arguments throw TypeError.

#include <napi.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "container/container.h"
#include "container/cpu_model.h"
#include "container/mirror.h"
#include "container/name.h"
#include "container/task_load.h"
#include "klog/oom_kill.h"
#include "klog/record.h"
#include "node/tree.h"
#include "seccomp/call.h"
#include "source/container_source.h"
#include "source/host_parse.h"
#include "source/host_source.h"
#include "source/parse.h"
#include "source/pressure.h"
#include "source/process.h"
#include "source/process_status.h"
#include "survey/cgroup_figures.h"
#include "survey/mounted.h"
#include "testing/budget.h"
#include "testing/calls.h"
#include "testing/kernel_logs.h"
#include "testing/klog.h"
#include "testing/kmsg.h"
#include "testing/source.h"
#include "testing/state.h"
#include "testing/tasks.h"
#include "testing/values.h"
#include "view/pressure_lines.h"
#include "view/stable.h"
#include "view/sysinfo_model.h"
#include "view/view.h"

namespace vprocfs {
namespace {

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
    auto mounts = CgroupMounts::from_tree(out->cgroup_.get());
    if (!mounts) return mounts.error();
    out->mounts_ = std::move(mounts.value());
    auto description = Resolver(out->mounts_, out->proc_.get()).of_recorded(init);
    if (!description) return description.error();
    out->host_ = std::make_unique<HostSource>(out->proc_.get(), out->sys_.get(), 0);
    SharedServices around;
    around.mounts = &out->mounts_;
    around.host = out->host_.get();
    around.procfs_fd = out->proc_.get();
    out->container_ = std::make_unique<Container>(std::move(description.value()), around);
    return out;
  }

  const CgroupMounts& mounts() const { return mounts_; }
  Container& container() { return *container_; }

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

Napi::Value render_fixture(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "caseDir");
  const std::string path = reader.text(info[1], "path");
  const uint32_t init = reader.integer(info[2], "init", INT32_MAX);
  const uint64_t now_us = reader.u64(info[3], "nowUs");
  if (reader.failed()) return env.Undefined();
  if (find_view(path) == nullptr && !Mirror::below_root(path)) {
    return throw_error(env, {ENOENT, path});
  }
  const auto recorded = RecordedCase::open(dir, static_cast<pid_t>(init));
  if (!recorded) return throw_error(env, recorded.error());
  const auto text = recorded.value()->render(path, now_us);
  if (!text) return throw_error(env, text.error());
  return Napi::String::New(env, text.value());
}

/// (text, { bytes, seam }, fixed) -> { text, bytes, seam }: a file's next text and length in
/// `tick`.
Napi::Value stabilised(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  std::string text = reader.text(info[0], "text");
  const Napi::Object before = reader.object(info[1], "before");
  const uint32_t bytes = reader.integer(reader.member(before, "bytes"), "bytes", UINT32_MAX);
  const uint32_t seam = reader.integer(reader.member(before, "seam"), "seam", UINT32_MAX);
  if (!info[2].IsBoolean()) reader.wrong("fixed", "a boolean");
  if (reader.failed()) return env.Undefined();
  const StableLength length = stabilise(text, {bytes, seam}, info[2].As<Napi::Boolean>());
  const ValueMaker maker(env);
  Napi::Object out = maker.object();
  out.Set("text", maker.text(text));
  out.Set("bytes", maker.integer(length.bytes));
  out.Set("seam", maker.integer(length.seam));
  return out;
}

/// (caseDir, init, nowUs) -> struct sysinfo as a 64-bit process of the container gets it.
Napi::Value sysinfo_fixture(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "caseDir");
  const uint32_t init = reader.integer(info[1], "init", INT32_MAX);
  const uint64_t now_us = reader.u64(info[2], "nowUs");
  if (reader.failed()) return env.Undefined();
  const auto recorded = RecordedCase::open(dir, static_cast<pid_t>(init));
  if (!recorded) return throw_error(env, recorded.error());
  recorded.value()->count_tasks(now_us);
  const auto figures = recorded.value()->container().call_facts(now_us, 0);
  if (!figures) return throw_error(env, figures.error());
  const auto bytes = encode_sysinfo64(figures.value().sysinfo);
  return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size());
}

Napi::Value list_fixture(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "caseDir");
  const std::string path = reader.text(info[1], "path");
  const uint32_t init = reader.integer(info[2], "init", INT32_MAX);
  const uint64_t now_us = reader.u64(info[3], "nowUs");
  if (reader.failed()) return env.Undefined();
  const auto recorded = RecordedCase::open(dir, static_cast<pid_t>(init));
  if (!recorded) return throw_error(env, recorded.error());
  const auto found = recorded.value()->list(path, now_us);
  if (!found) return throw_error(env, found.error());
  return ValueMaker(env).list(
      found.value(), [&](const SysfsEntry& entry) { return Napi::String::New(env, entry.name); });
}

/// Every path of the tree that a host has which lacks the files that a recorded one lacks:
/// directories, and below them files.
Napi::Value tree_paths(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "caseDir");
  if (reader.failed()) return env.Undefined();
  const Tree tree(
      [&dir](const std::string& path) { return ::access((dir + "/" + path).c_str(), F_OK) == 0; });
  std::vector<std::string> paths;
  std::vector<const TreeDir*> left{&tree.top()};
  while (!left.empty()) {
    const TreeDir& at = *left.back();
    left.pop_back();
    for (const TreeEntry& entry : at.entries) {
      paths.push_back(at.path.empty() ? entry.name : at.path + "/" + entry.name);
      const TreeDir* below = entry.view == nullptr ? tree.dir(entry.index) : nullptr;
      if (below != nullptr) left.push_back(below);
    }
  }
  return ValueMaker(env).list(
      paths, [&](const std::string& path) { return Napi::String::New(env, path); });
}

/// The numbers of paths of a tree of sysfs, and what they lead back to in a tree that has not given
/// them out.
Napi::Value number_paths(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "sysDir");
  std::vector<std::string> paths;
  reader.each(info[1], "paths",
              [&](Napi::Value value) { paths.push_back(reader.text(value, "path")); });
  if (reader.failed()) return env.Undefined();
  const auto fd = open_directory(dir);
  if (!fd) return throw_error(env, fd.error());
  SysfsTree first(fd.value().get()), second(fd.value().get());
  const ValueMaker maker(env);
  return maker.list(paths, [&](const std::string& path) {
    const auto number = first.number(path);
    Napi::Object row = maker.object();
    row.Set("number", Napi::Number::New(env, number ? static_cast<double>(*number) : -1));
    row.Set("path", number ? second.path(*number).value_or("") : std::string());
    return row;
  });
}

Napi::Value advance_samples(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  std::vector<CpuSample> samples;
  reader.each(info[0], "samples", [&](Napi::Value value) {
    samples.push_back(reader.sample(value));
    if (samples.back().shown.empty()) reader.wrong("shown", "an array of at least one CPU");
  });
  if (reader.failed()) return env.Undefined();
  CpuHistory history;
  const ValueMaker maker(env);
  return maker.list(
      samples, [&](const CpuSample& sample) { return maker.report(advance(history, sample)); });
}

Napi::Value shown_cpus_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const Napi::Object from = reader.object(info[0], "limits");
  const Napi::Value cpuset = reader.member(from, "cpuset");
  const Napi::Value bandwidth = reader.member(from, "bandwidth");
  CpuLimitFacts limits;
  if (!reader.failed() && !cpuset.IsNull()) limits.cpuset = reader.cpus(cpuset, "cpuset");
  if (!reader.failed() && !bandwidth.IsNull()) {
    const Napi::Object quota = reader.object(bandwidth, "bandwidth");
    const uint64_t quota_us = reader.u64(quota, "quotaUs");
    limits.bandwidth = CpuBandwidth{quota_us, reader.u64(quota, "periodUs")};
    if (limits.bandwidth->period_us == 0) reader.wrong("periodUs", "above 0");
  }
  HostCpus host;
  host.online = reader.cpus(info[1], "online");
  host.possible = host.present = host.online;
  if (reader.failed()) return env.Undefined();
  return ValueMaker(env).cpus(shown_cpus(limits, host));
}

Napi::Value list_views(const Napi::CallbackInfo& info) {
  constexpr uint32_t kTimes = kNeedCpuReport | kNeedClock | kNeedTasks | kNeedLoad |
                              kNeedPressureCpu | kNeedPressureMemory | kNeedPressureIo;
  const ValueMaker maker(info.Env());
  Napi::Array out = Napi::Array::New(info.Env());
  for (const View* view = views_begin(); view != views_end(); ++view) {
    Napi::Object row = maker.object();
    row.Set("index", maker.integer(view->index));
    row.Set("path", maker.text(std::string(view->path)));
    row.Set("mode", maker.integer(view->mode));
    row.Set("changes", view->changes == Changes::kAlways ? "always" : "with-limits");
    row.Set("hasTimes", (view->needs & kTimes) != 0);
    out.Set(out.Length(), row);
  }
  return out;
}

/// Keys of memory.stat that are read: [v2's, v1's or null].
Napi::Value memory_keys(const Napi::CallbackInfo& info) {
  const ValueMaker maker(info.Env());
  Napi::Array out = Napi::Array::New(info.Env());
  const auto add = [&](const char* key, const Napi::Value& v1_key) {
    Napi::Array row = Napi::Array::New(info.Env(), 2);
    row.Set(0u, key);
    row.Set(1u, v1_key);
    out.Set(out.Length(), row);
  };
#define VPROCFS_MEMORY_KEY(key) add(#key, maker.null());
#define VPROCFS_MEMORY_KEY_OF(key, v1_key) add(#key, maker.text(#v1_key));
#include "facts/memory_keys.def"
  return out;
}

/// A parser of one text: `make(maker, text)`.
template <Napi::Value (*make)(const ValueMaker&, const std::string&)>
Napi::Value parse_text(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const std::string text = reader.text(info[0], "text");
  return reader.failed() ? info.Env().Undefined() : make(ValueMaker(info.Env()), text);
}

Napi::Value make_u64(const ValueMaker& maker, const std::string& text) {
  return maker.u64(parse_u64(text));
}

Napi::Value make_cpu_list(const ValueMaker& maker, const std::string& text) {
  return maker.cpus(parse_cpu_list(text));
}

Napi::Value make_cpuinfo(const ValueMaker& maker, const std::string& text) {
  return maker.cpuinfo(parse_cpuinfo(text));
}

Napi::Value make_swaps(const ValueMaker& maker, const std::string& text) {
  return maker.list(parse_swaps(text), [&](const HostSwapDevice& device) {
    Napi::Object row = maker.object();
    row.Set("name", device.name);
    row.Set("type", device.type);
    row.Set("sizeKb", maker.u64(device.size_kb));
    row.Set("usedKb", maker.u64(device.used_kb));
    row.Set("priority", device.priority);
    return row;
  });
}

/// As it would be shown; null where there is nothing to show.
Napi::Value make_pressure(const ValueMaker& maker, const std::string& text) {
  const auto facts = parse_pressure(text);
  if (!facts) return maker.null();
  std::string shown;
  Writer writer(shown);
  write_pressure(*facts, writer);
  return maker.text(shown);
}

Napi::Value make_meminfo(const ValueMaker& maker, const std::string& text) {
  return maker.list(parse_meminfo(text).lines, [&](const HostMeminfoLine& line) {
    Napi::Object row = maker.object();
    row.Set("label", line.label);
    row.Set("value", maker.u64(line.value));
    row.Set("inKb", line.in_kb);
    return row;
  });
}

Napi::Value make_stat(const ValueMaker& maker, const std::string& text) {
  const HostStat stat = parse_stat(text).value_or(HostStat{0, 0, {}});
  Napi::Object out = maker.object();
  out.Set("cpuColumns", maker.integer(stat.cpu_columns));
  out.Set("btimeS", maker.u64(stat.btime_s));
  out.Set("lines", maker.list(stat.lines, [&](const HostStat::Line& line) {
    Napi::Object row = maker.object();
    row.Set("key", line.key);
    row.Set("columns", maker.integer(line.columns));
    return row;
  }));
  return out;
}

/// (procDir, pid) -> what process.cc reads of a process.
Napi::Value read_process(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "procDir");
  const auto pid = static_cast<pid_t>(reader.integer(info[1], "pid", INT32_MAX));
  if (reader.failed()) return env.Undefined();
  const auto proc = open_directory(dir);
  if (!proc) return throw_error(env, proc.error());
  const auto ticks = read_start_ticks(proc.value().get(), pid);
  if (!ticks) return throw_error(env, ticks.error());
  const auto inner = read_inner_pid(proc.value().get(), pid);
  if (!inner) return throw_error(env, inner.error());
  const auto paths = read_cgroup_paths(proc.value().get(), pid);
  if (!paths) return throw_error(env, paths.error());
  const ValueMaker maker(env);
  Napi::Object out = maker.object();
  out.Set("startTicks", maker.u64(ticks.value()));
  out.Set("innerPid", inner.value());
  out.Set("v2", paths.value().v2);
  out.Set("v1", maker.list(paths.value().v1, [&](const auto& path) { return maker.text(path); }));
  return out;
}

/// (text, name) -> a field of a process's status: { field, mask, numbers }, null what it is not.
Napi::Value read_status(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const std::string text = reader.text(info[0], "text");
  const std::string name = reader.text(info[1], "name");
  if (reader.failed()) return info.Env().Undefined();
  const ValueMaker maker(info.Env());
  const auto field = status_field(text, name);
  Napi::Object out = maker.object();
  out.Set("field", field ? maker.text(std::string(*field)) : maker.null());
  out.Set("mask", maker.u64(status_mask(text, name)));
  out.Set("numbers", maker.list(status_numbers(text, name),
                                [&](uint64_t number) { return maker.u64(number); }));
  return out;
}

/// (caseDir, init) -> the figures of its cgroups that no file under /proc needs.
Napi::Value cgroup_figures(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "caseDir");
  const auto init = static_cast<pid_t>(reader.integer(info[1], "init", INT32_MAX));
  if (reader.failed()) return env.Undefined();
  const auto recorded = RecordedCase::open(dir, init);
  if (!recorded) return throw_error(env, recorded.error());
  Figures figures;
  CgroupFigures(recorded.value()->mounts(), recorded.value()->container().description())
      .read(figures);
  Napi::Object out = Napi::Object::New(env);
  for (size_t i = 0; i < kFigureCount; ++i) {
    const auto figure = static_cast<Figure>(i);
    if (figures.has(figure)) out.Set(kFigureNames[i], figures.get(figure));
  }
  return out;
}

Napi::Value make_oom_kill(const ValueMaker& maker, const std::string& text) {
  const auto kill = parse_oom_kill(unescape_record(text));
  if (!kill) return maker.u64(std::nullopt);
  Napi::Object out = maker.object();
  out.Set("cgroup", kill->cgroup);
  out.Set("task", kill->task);
  out.Set("pid", maker.u64(kill->pid));
  out.Set("byLimit", kill->by_limit);
  return out;
}

/// (mountinfo, fsType, source, mountinfo of the host) -> how many of its lines count.
Napi::Value mounted_of(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const std::string text = reader.text(info[0], "mountinfo");
  const std::string type = reader.text(info[1], "fsType");
  const std::string source = reader.text(info[2], "source");
  const std::string host = reader.text(info[3], "host");
  if (reader.failed()) return info.Env().Undefined();
  const MountIdentity identity{type, source};
  const Mounted mounted = count_mounted(text, identity, lxcfs_devices_in(host, identity));
  const ValueMaker maker(info.Env());
  Napi::Object out = maker.object();
  out.Set("ours", maker.integer(mounted.ours));
  out.Set("lxcfs", maker.integer(mounted.lxcfs));
  return out;
}

/// (cgroup, cgroup of its tenant) -> {name, runtime}
Napi::Value name_container(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const std::string cgroup = reader.text(info[0], "cgroup");
  const std::string tenant = reader.text(info[1], "tenant");
  if (reader.failed()) return info.Env().Undefined();
  const ContainerName name = container_name(cgroup, tenant);
  Napi::Object out = ValueMaker(info.Env()).object();
  out.Set("name", name.name);
  out.Set("runtime", name.runtime);
  return out;
}

Napi::Object initialise(Napi::Env env, Napi::Object testing) {
  testing.Set("renderFixture", Napi::Function::New<render_fixture>(env));
  testing.Set("sysinfoFixture", Napi::Function::New<sysinfo_fixture>(env));
  testing.Set("weighCrowd", Napi::Function::New<weigh_crowd>(env));
  testing.Set("stabilised", Napi::Function::New<stabilised>(env));
  testing.Set("readLxcRequest", Napi::Function::New<read_lxc_request>(env));
  testing.Set("spendBudget", Napi::Function::New<spend_budget>(env));
  testing.Set("chargeLaps", Napi::Function::New<charge_laps>(env));
  testing.Set("findRivals", Napi::Function::New<find_rivals>(env));
  testing.Set("pendingCallAfter", Napi::Function::New<pending_call_after>(env));
  testing.Set("nameCall", Napi::Function::New<name_call>(env));
  testing.Set("encodeSysinfo", Napi::Function::New<encode_sysinfo>(env));
  testing.Set("listFixture", Napi::Function::New<list_fixture>(env));
  testing.Set("treePaths", Napi::Function::New<tree_paths>(env));
  testing.Set("numberPaths", Napi::Function::New<number_paths>(env));
  testing.Set("advanceSamples", Napi::Function::New<advance_samples>(env));
  testing.Set("shownCpus", Napi::Function::New<shown_cpus_of>(env));
  testing.Set("views", Napi::Function::New<list_views>(env));
  testing.Set("memoryKeys", Napi::Function::New<memory_keys>(env));
  testing.Set("parseU64", Napi::Function::New<parse_text<make_u64>>(env));
  testing.Set("parseCpuList", Napi::Function::New<parse_text<make_cpu_list>>(env));
  testing.Set("parseCpuinfo", Napi::Function::New<parse_text<make_cpuinfo>>(env));
  testing.Set("parseSwaps", Napi::Function::New<parse_text<make_swaps>>(env));
  testing.Set("parseMeminfo", Napi::Function::New<parse_text<make_meminfo>>(env));
  testing.Set("parsePressure", Napi::Function::New<parse_text<make_pressure>>(env));
  testing.Set("parseStat", Napi::Function::New<parse_text<make_stat>>(env));
  testing.Set("cgroupFigures", Napi::Function::New<cgroup_figures>(env));
  testing.Set("readLogRecord", Napi::Function::New<read_log_record>(env));
  testing.Set("sortLog", Napi::Function::New<sort_log>(env));
  testing.Set("readWritten", Napi::Function::New<read_written>(env));
  testing.Set("writeKmsg", Napi::Function::New<write_kmsg>(env));
  testing.Set("followKmsg", Napi::Function::New<follow_kmsg>(env));
  testing.Set("logClock", Napi::Function::New<log_clock>(env));
  testing.Set("whoCrashed", Napi::Function::New<who_crashed>(env));
  testing.Set("whoPrinted", Napi::Function::New<who_printed>(env));
  testing.Set("timeLog", Napi::Function::New<time_log>(env));
  testing.Set("needsSyslogCapability", Napi::Function::New<needs_capability>(env));
  testing.Set("KernelLogs", KernelLogsObject::define(env));
  testing.Set("parseOomKill", Napi::Function::New<parse_text<make_oom_kill>>(env));
  testing.Set("nameContainer", Napi::Function::New<name_container>(env));
  testing.Set("countMounted", Napi::Function::New<mounted_of>(env));
  testing.Set("readStatus", Napi::Function::New<read_status>(env));
  testing.Set("readProcess", Napi::Function::New<read_process>(env));
  testing.Set("Source", SourceObject::define(env));
  testing.Set("State", StateObject::define(env));
  testing.Set("TaskCounter", TaskCounterObject::define(env));
  testing.Set("loadAverages", Napi::Function::New<load_averages>(env));
  return testing;
}

NODE_API_MODULE(vprocfs_testing, initialise)

}  // namespace
}  // namespace vprocfs
