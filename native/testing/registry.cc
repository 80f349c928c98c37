#include "container/registry.h"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "container/host.h"
#include "source/change_notifier.h"
#include "state/state_file.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

/// `new Registry(most)`: containers of this host, of which it may know `most` of each tenant.
class RegistryObject : public Wrapped<RegistryObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    using R = RegistryObject;
    return DefineClass(
        env, "Registry",
        {method<&R::forget>("forget"), method<&R::find>("find"), method<&R::clock_of>("clockOf"),
         method<&R::refused_at_once>("refusedAtOnce"), method<&R::watch>("watch"),
         method<&R::looks>("looks"), method<&R::is_looking>("isLooking"),
         method<&R::known>("known"), method<&R::keep>("keep"), method<&R::fill>("fill")});
  }

  explicit RegistryObject(const Napi::CallbackInfo& info) : Wrapped(info) {
    const auto given = arguments<uint32_t>(info);
    if (!given) return;
    auto host = Host::open();
    if (!host) {
      throw_error(info.Env(), host.error());
      return;
    }
    host_ = std::move(host.value());
    notifier_ = ChangeNotifier::open();
    source_ = std::make_unique<HostSource>(host_->procfs.get(), host_->sysfs.get(), 0);
    resources_ = std::make_unique<SharedResources>(limits_of(std::get<0>(*given)));
    forget();
  }

 private:
  static ResourceLimits limits_of(uint64_t most) {
    ResourceLimits limits{};
    limits[static_cast<size_t>(Resource::kContainers)] = {most, most, most};
    return limits;
  }

  /// Knows no container from now on, and does not watch.
  void forget() {
    registry_.reset();
    SharedServices services;
    services.mounts = &host_->mounts;
    services.notifier = notifier_.get();
    services.host = source_.get();
    services.procfs_fd = host_->procfs.get();
    services.resources = resources_.get();
    services.state = state_.get();
    registry_ = std::make_unique<Registry>(*host_->resolver, services);
  }

  /// (bytes) Knows no container from now on, and keeps what it does in a new state file.
  Result<bool> keep(UpTo<StateFile::kDefaultBytes> bytes) {
    registry_.reset();
    auto memory = StateFile::make_memfd(bytes);
    if (!memory) return memory.error();
    memory_ = std::move(memory.value());
    auto state = StateFile::open(memory_.get(), nullptr);
    if (!state) return state.error();
    state_ = std::move(state.value());
    forget();
    return true;
  }

  /// Keeps as much of a container that is gone as there is room for, and tries to keep more.
  Result<bool> fill() {
    if (!state_) return Error{ENOENT, "state file"};
    constexpr size_t kBytes = 1000;
    constexpr uint64_t kGone = ContainerId::kMaxCgroupId;
    while (const RecordIndex record = state_->allocate(RecordType::kHistory, kBytes)) {
      state_->publish(record, RecordType::kHistory, kGone, kBytes);
    }
    return true;
  }

  /// (pid) -> when the container of a process began, whose limits are watched from now on.
  Result<uint64_t> find(pid_t pid) {
    const auto found = registry_->by_process(pid);
    if (!found) return found.error();
    if (!found.value()) return Error{ESRCH, "container"};
    const auto facts = found.value()->facts(kNeedCpus, boottime_us());
    if (!facts) return facts.error();
    return found.value()->clock().init_start_us;
  }

  /// (pid, a process of its container, by default itself) -> when the PID namespace began whose age
  /// a process sees as that of its container.
  Result<uint64_t> clock_of(pid_t pid, std::optional<pid_t> member) {
    const auto found = registry_->by_process(member.value_or(pid));
    if (!found) return found.error();
    if (!found.value()) return Error{ESRCH, "container"};
    return registry_->clock_of(*found.value(), pid).init_start_us;
  }

  /// (pid, threads) -> how many of so many threads are not told its container, who all ask at once.
  Number refused_at_once(pid_t pid, uint32_t threads) {
    std::promise<void> all_are_there;
    const std::shared_future<void> begin = all_are_there.get_future().share();
    std::atomic<uint32_t> refused{0};
    std::vector<std::thread> asking;
    for (uint32_t i = 0; i < threads; ++i) {
      asking.emplace_back([&] {
        begin.wait();
        if (!registry_->by_process(pid)) ++refused;
      });
    }
    all_are_there.set_value();
    for (auto& one : asking) one.join();
    return refused.load();
  }

  /// (lookMs) Watches for ends of containers, and for changes of limits, which it looks at for so
  /// long.
  Result<bool> watch(uint32_t look_ms) {
    return registry_->start([this, look_ms] {
      is_looking_ = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(look_ms));
      is_looking_ = false;
      ++looks_;
      return true;
    });
  }

  /// -> how often it has looked at them.
  Number looks() { return looks_.load(); }

  /// -> whether it does. Meanwhile it hears of no end.
  bool is_looking() { return is_looking_.load(); }

  /// -> how many containers it knows.
  Number known() { return registry_->size(); }

  // Each borrows those before it.
  std::unique_ptr<Host> host_;
  Fd memory_;
  std::unique_ptr<StateFile> state_;
  std::shared_ptr<ChangeNotifier> notifier_;
  std::unique_ptr<HostSource> source_;
  std::unique_ptr<SharedResources> resources_;
  std::atomic<uint32_t> looks_{0};
  std::atomic<bool> is_looking_{false};
  std::unique_ptr<Registry> registry_;
};

}  // namespace

void add_registry(Napi::Object& exports) {
  exports.Set("Registry", RegistryObject::define(exports.Env()));
}

}  // namespace vprocfs
