#pragma once

#include <napi.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "container/load_history.h"
#include "source/tasks/task_counter.h"
#include "testing/source.h"
#include "testing/values.h"
#include "view/view.h"

namespace vprocfs {

/// `new TaskCounter("bpf" | "scan", budgetUs)`: counts tasks of cgroups of this host.
class TaskCounterObject : public Napi::ObjectWrap<TaskCounterObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "TaskCounter", {InstanceMethod<&TaskCounterObject::count>("count")});
  }

  explicit TaskCounterObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<TaskCounterObject>(info) {
    ValueReader reader(info.Env());
    const std::string kind = reader.text(info[0], "kind");
    const uint32_t budget_us = reader.integer(info[1], "budgetUs", 1000000000);
    if (reader.failed()) return;
    auto opened = open(kind == "bpf", budget_us);
    if (!opened) throw_error(info.Env(), opened.error());
  }

 private:
  Result<bool> open(bool bpf, uint64_t budget_us) {
    auto proc = open_directory("/proc");
    if (!proc) return proc.error();
    proc_ = std::move(proc.value());
    auto sys = open_directory("/sys");
    if (!sys) return sys.error();
    auto mounts = CgroupMounts::discover(proc_.get());
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
  Napi::Value count(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    std::vector<CountedCgroup> cgroups;
    reader.each(info[0], "cgroups", [&](Napi::Value value) {
      const Napi::Object from = reader.object(value, "cgroup");
      CountedCgroup cgroup;
      const Napi::Value v1 = reader.member(from, "v1");
      if (!reader.failed() && v1.IsString()) {
        const std::string name = v1.As<Napi::String>().Utf8Value();
        cgroup.v1 = name == "memory" ? Controller::kMemory
                    : name == "cpu"  ? Controller::kCpu
                                     : Controller::kPids;
      }
      cgroup.id = reader.u64(from, "id");
      cgroup.path = reader.text(reader.member(from, "path"), "path");
      cgroup.pid_namespace = reader.u64(from, "pidNamespace");
      cgroups.push_back(std::move(cgroup));
    });
    if (reader.failed()) return info.Env().Undefined();
    const auto counts = counter_->count(cgroups);
    if (!counts) return throw_error(info.Env(), counts.error());
    const ValueMaker maker(info.Env());
    return maker.list(counts.value(), [&](const TaskCount& count) {
      Napi::Object row = maker.object();
      row.Set("running", maker.integer(count.running));
      row.Set("blocked", maker.integer(count.blocked));
      row.Set("total", maker.integer(count.total));
      row.Set("lastPid", maker.integer(count.last_pid));
      return row;
    });
  }

  Fd proc_;
  CgroupMounts mounts_;
  std::unique_ptr<TaskCounter> counter_;  // borrows both
};

/// (uptimeUs, [{ nowUs, active }], tasks) -> /proc/loadavg after all samples, the first of which
/// begins the averages; `tasks`: { running, total, lastPid } to be shown beside them.
inline Napi::Value load_averages(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const uint64_t uptime_us = reader.u64(info[0], "uptimeUs");
  Facts facts;
  LoadHistory history;
  reader.each(info[1], "samples", [&](Napi::Value value) {
    const Napi::Object from = reader.object(value, "sample");
    const uint64_t now_us = reader.u64(from, "nowUs");
    const uint64_t active = reader.u64(from, "active");
    if (history.started) {
      advance_load(history, active, now_us);
      // As it is after a takeover.
      const std::string packed = pack_load(history);
      if (!unpack_load(packed.data(), packed.size(), history)) reader.wrong("state", "whole");
    } else {
      start_load(history, active, now_us, uptime_us);
    }
  });
  const Napi::Object tasks = reader.object(info[2], "tasks");
  facts.tasks.running = reader.u64(tasks, "running");
  facts.tasks.total = reader.u64(tasks, "total");
  facts.tasks.last_pid = reader.u64(tasks, "lastPid");
  if (reader.failed()) return info.Env().Undefined();
  facts.tasks.load = history.averages;
  std::string text;
  Writer writer(text);
  find_view("proc/loadavg")->render(facts, writer);
  return Napi::String::New(info.Env(), text);
}

}  // namespace vprocfs
