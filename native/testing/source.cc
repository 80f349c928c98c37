#include <utility>

#include "base/clock_tick.h"
#include "source/container_source.h"
#include "source/host_source.h"
#include "source/mounted_devices.h"
#include "source/process.h"
#include "testing/cpu_members.h"
#include "testing/directory.h"
#include "testing/parts.h"
#include "testing/recorded_cgroups.h"
#include "testing/values.h"

namespace vprocfs {

template <>
struct Js<MemoryFacts> {
  static Napi::Value to(Napi::Env env, const MemoryFacts& memory) {
    constexpr uint64_t kUsualKb = 2048;
    const HugetlbFacts* usual = memory.limit_of_pages(kUsualKb);
    JsObject stat(env);
#define VPROCFS_MEMORY_KEY(key) \
  if (memory.stat.key) stat.set(#key, *memory.stat.key);
#include "facts/memory_keys.def"
    return JsObject(env)
        .set("limitBytes", memory.limit_bytes)
        .set("usageBytes", memory.usage_bytes)
        .set("swapLimitBytes", memory.swap.limit_bytes)
        .set("swapUsedBytes", memory.swap.used_bytes)
        .set("swappinessZero", memory.swap.swappiness_zero)
        .set("hugetlbLimitBytes", usual ? std::optional(usual->limit_bytes) : std::nullopt)
        .set("hugetlbUsedBytes", usual ? usual->used_bytes : 0)
        .set("hugetlbReservedBytes", usual ? usual->reserved_bytes : 0)
        .set("hugetlbFreeBytes", usual ? usual->free_bytes : 0)
        .set("roomBytes", memory.headroom.free_bytes)
        .set("availableRoomBytes", memory.headroom.available_bytes)
        .set("swapRoomBytes", memory.headroom.swap_bytes)
        // Only the keys that the kernel has.
        .set("stat", Napi::Value(stat));
  }
};

namespace {

/// `new Source(tree | null, cgroup, notify)`: the source of one container, over a recorded tree or
/// this host's cgroups; `cgroup` is the text of its /proc/<pid>/cgroup.
class SourceObject : public Wrapped<SourceObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Source",
        {method<&SourceObject::memory>("memory"), method<&SourceObject::limits>("limits"),
         method<&SourceObject::usage>("usage")});
  }

  explicit SourceObject(const Napi::CallbackInfo& info) : Wrapped(info) {
    const auto given = arguments<std::optional<std::string>, std::string, bool>(info);
    if (!given) return;
    const auto& [tree, cgroup, notify] = *given;
    if (notify) notifier_ = ChangeNotifier::open();
    auto opened = open(tree, cgroup);
    if (opened) source_ = std::move(opened.value());
    if (!opened) throw_error(info.Env(), opened.error());
  }

 private:
  Result<std::unique_ptr<ContainerSource>> open(const std::optional<std::string>& tree,
                                                const std::string& cgroup) const {
    const auto fd = open_directory(tree.value_or("/proc"));
    if (!fd) return fd.error();
    const auto mounts =
        tree ? recorded_cgroups(fd.value().get()) : CgroupMounts::discover(fd.value().get());
    if (!mounts) return mounts.error();
    const auto paths = CgroupPaths::parse(cgroup);
    if (!paths) return paths.error();
    return ContainerSource::open(mounts.value(), paths.value(), notifier_.get(), {kHugePageKb});
  }

  Result<MemoryFacts> memory(std::optional<uint64_t> host_swap_bytes) {
    HostMemorySize host;
    host.swap_bytes = host_swap_bytes.value_or(host.swap_bytes);
    return source_->memory(MemoryEvents::kNone, host);
  }
  Result<CpuLimitFacts> limits() { return source_->cpu_limits(); }
  Result<CpuUsageFacts> usage() { return source_->cpu_usage(); }

  static constexpr uint64_t kHugePageKb = 2048;

  std::shared_ptr<ChangeNotifier> notifier_;  // outlives the source
  std::unique_ptr<ContainerSource> source_;
};

/// `new HostFiles(tree, tickUs)`: the host of a recorded tree of proc/ and sys/.
class HostFilesObject : public Wrapped<HostFilesObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "HostFiles",
                       {method<&HostFilesObject::described>("described"),
                        method<&HostFilesObject::keeps_cpuinfo>("keepsCpuinfo"),
                        method<&HostFilesObject::mounted>("mounted")});
  }

  explicit HostFilesObject(const Napi::CallbackInfo& info) : Wrapped(info) {
    const auto given = arguments<std::string, uint64_t>(info);
    if (!given) return;
    const auto& [tree, tick_us] = *given;
    for (const auto& [fd, name] : {std::pair<Fd*, const char*>{&proc_, "/proc"}, {&sys_, "/sys"}}) {
      auto opened = open_directory(tree + name);
      if (!opened) {
        throw_error(info.Env(), opened.error());
        return;
      }
      *fd = std::move(opened.value());
    }
    host_ = std::make_unique<HostSource>(proc_.get(), sys_.get(), tick_us);
  }

 private:
  /// The CPUs of which cpuinfo has a block.
  Result<CpuSet> described(uint64_t now_us) {
    const auto info = host_->cpuinfo(now_us);
    if (!info) return info.error();
    std::vector<uint32_t> cpus;
    for (const auto& block : info.value()->blocks) cpus.push_back(block.cpu);
    return CpuSet(std::move(cpus));
  }

  /// Whether cpuinfo is the same object as at the call before.
  Result<bool> keeps_cpuinfo(uint64_t now_us) {
    auto info = host_->cpuinfo(now_us);
    if (!info) return info.error();
    return std::exchange(cpuinfo_, info.value()) == info.value();
  }

  /// The major and minor numbers of the devices that file systems lie on, as kInit's table tells.
  Result<std::vector<std::string>> mounted(uint64_t now_us) {
    if (!mounted_) {
      const auto start = read_start_ticks(proc_.get(), kInit);
      if (!start) return start.error();
      mounted_.emplace(proc_.get(), sys_.get(), kInit, start.value() * kClockTickUs);
    }
    std::vector<std::string> out;
    for (const DeviceNumber device : mounted_->at(now_us, {})) {
      out.push_back(std::to_string(device.major) + ":" + std::to_string(device.minor));
    }
    return out;
  }

  static constexpr pid_t kInit = 4711;

  Fd proc_, sys_;
  std::unique_ptr<HostSource> host_;  // borrows both
  std::optional<MountedDevices> mounted_;
  std::shared_ptr<const HostCpuinfo> cpuinfo_;
};

}  // namespace

void add_source(Napi::Object& exports) {
  exports.Set("Source", SourceObject::define(exports.Env()));
  exports.Set("HostFiles", HostFilesObject::define(exports.Env()));
}

}  // namespace vprocfs
