#include <memory>
#include <optional>
#include <string>

#include "container/load_history.h"
#include "source/tasks/task_counter.h"
#include "testing/directory.h"
#include "testing/parts.h"
#include "testing/recorded_cgroups.h"
#include "testing/values.h"
#include "view/view.h"

namespace vprocfs {

template <>
struct Js<Controller> {
  static Controller from(const Given& given) {
    const auto name = given.as<std::string>();
    return name == "memory" ? Controller::kMemory
           : name == "cpu"  ? Controller::kCpu
                            : Controller::kPids;
  }
};

constexpr auto members(const CountedCgroup*) {
  using S = CountedCgroup;
  return std::tuple(member("v1", &S::v1), member("id", &S::id), member("path", &S::path),
                    member("pidNamespace", &S::pid_namespace));
}

constexpr auto members(const TaskCount*) {
  using S = TaskCount;
  return std::tuple(number("running", &S::running), number("blocked", &S::blocked),
                    number("total", &S::total), number("lastPid", &S::last_pid));
}

constexpr auto members(const TaskFacts*) {
  using S = TaskFacts;
  return std::tuple(member("running", &S::running), member("total", &S::total),
                    member("lastPid", &S::last_pid));
}

namespace {

/// `new TaskCounter("bpf" | "scan", budgetUs, tree?)`: counts tasks of cgroups of this host, or by
/// "scan" of those of a recorded tree.
class TaskCounterObject : public Wrapped<TaskCounterObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "TaskCounter", {method<&TaskCounterObject::count>("count")});
  }

  explicit TaskCounterObject(const Napi::CallbackInfo& info) : Wrapped(info) {
    const auto given = arguments<std::string, uint32_t, std::optional<std::string>>(info);
    if (!given) return;
    const auto& [kind, budget_us, tree] = *given;
    const auto opened = open(kind == "bpf", budget_us, tree);
    if (!opened) throw_error(info.Env(), opened.error());
  }

 private:
  Result<bool> open(bool bpf, uint64_t budget_us, const std::optional<std::string>& tree) {
    auto proc = open_directory("/proc");
    if (!proc) return proc.error();
    proc_ = std::move(proc.value());
    auto sys = open_directory("/sys");
    if (!sys) return sys.error();
    const auto recorded = open_directory(tree.value_or("/"));
    if (!recorded) return recorded.error();
    auto mounts =
        tree ? recorded_cgroups(recorded.value().get()) : CgroupMounts::discover(proc_.get());
    if (!mounts) return mounts.error();
    mounts_ = std::move(mounts.value());
    if (!bpf) {
      counter_ = make_scan_task_counter(mounts_, proc_.get(), budget_us);
      return true;
    }
    auto made = make_bpf_task_counter(sys.value().get());
    if (!made) return made.error();
    counter_ = std::move(made.value());
    return true;
  }

  /// ([{ v1: "memory" | "cpu" | "pids" | null, id, path, pidNamespace }]) -> counts
  Result<std::vector<TaskCount>> count(const std::vector<CountedCgroup>& cgroups) {
    return counter_->count(cgroups);
  }

  Fd proc_;
  CgroupMounts mounts_;
  std::unique_ptr<TaskCounter> counter_;  // borrows both
};

struct LoadSample {
  uint64_t now_us = 0, active = 0;
};
constexpr auto members(const LoadSample*) {
  using S = LoadSample;
  return std::tuple(member("nowUs", &S::now_us), member("active", &S::active));
}

/// (uptimeUs, [{ nowUs, active }], tasks) -> /proc/loadavg after all samples, the first of which
/// begins the averages; `tasks`: { running, total, lastPid } to be shown beside them.
Result<std::string> load_averages(uint64_t uptime_us, const std::vector<LoadSample>& samples,
                                  const TaskFacts& tasks) {
  LoadHistory history;
  for (const auto& [now_us, active] : samples) {
    if (!history.started) {
      start_load(history, active, now_us, uptime_us);
      continue;
    }
    advance_load(history, active, now_us);
    // As it is after a takeover.
    const std::string packed = pack_load(history);
    if (!unpack_load(packed.data(), packed.size(), history)) return Error{EINVAL, "state"};
  }
  Facts facts;
  facts.tasks = tasks;
  facts.tasks.load = history.averages;
  std::string text;
  Writer writer(text);
  find_view("proc/loadavg")->render(facts, writer);
  return text;
}

}  // namespace

void add_tasks(Napi::Object& exports) {
  exports.Set("TaskCounter", TaskCounterObject::define(exports.Env()));
  add<load_averages>(exports, "loadAverages");
}

}  // namespace vprocfs
