#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock_tick.h"
#include "base/thread.h"
#include "container/census.h"
#include "container/resolve.h"
#include "source/process.h"
#include "source/process_stat.h"
#include "source/process_status.h"
#include "testing/directory.h"
#include "testing/parts.h"
#include "testing/recorded_cgroups.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

/// (procDir, pid) -> what process.cc reads of a process.
Result<Napi::Value> read_process(Napi::Env env, const std::string& dir, pid_t pid) {
  const auto proc = open_directory(dir);
  if (!proc) return proc.error();
  const auto ticks = read_start_ticks(proc.value().get(), pid);
  if (!ticks) return ticks.error();
  const auto inner = read_inner_pid(proc.value().get(), pid);
  if (!inner) return inner.error();
  const auto paths = read_cgroup_paths(proc.value().get(), pid);
  if (!paths) return paths.error();
  const auto& v1 = paths.value().v1;
  return Napi::Value(JsObject(env)
                         .set("startTicks", ticks.value())
                         .set("innerPid", inner.value())
                         .set("v2", paths.value().v2)
                         .set("v1", std::vector<std::string>(v1.begin(), v1.end())));
}

/// (procDir, pid, startTicks, cgroup, texts) -> for each text that its cgroup file says in turn,
/// the cgroup of v1's cpu controller that the container `cgroup` has been moved to; null: it was
/// not. What was found is where it is from then on.
Result<std::vector<std::optional<std::string>>> find_moves(const std::string& dir, pid_t pid,
                                                           uint64_t start_ticks,
                                                           const std::string& cgroup,
                                                           const std::vector<std::string>& texts) {
  const auto proc = open_directory(dir);
  if (!proc) return proc.error();
  const std::string path = dir + "/" + std::to_string(pid) + "/cgroup";
  ContainerDescription container;
  container.id = ContainerId::make(IdentityHierarchy::kV1Memory, 1).value_or(ContainerId());
  container.cgroup = cgroup;
  container.init = pid;
  container.init_start_us = start_ticks * kClockTickUs;
  for (auto& known : container.paths.v1) known = cgroup;
  CgroupMoveDetector moves(proc.value().get());
  std::vector<std::optional<std::string>> out;
  for (const std::string& text : texts) {
    // In place: it stays open.
    std::ofstream(path, std::ios::trunc) << text;
    auto moved = moves.find(container, container.paths);
    out.push_back(moved ? std::optional(moved->in(Controller::kCpu)) : std::nullopt);
    if (!moved) continue;
    container.paths = std::move(*moved);
    moves.close();
  }
  return out;
}

/// (text) -> fields of a process's stat: { state, threads, exitCode }, null where it has none.
Napi::Value read_stat(Napi::Env env, std::string_view text) {
  return JsObject(env)
      .set("state", stat_field(text, StatField::kState))
      .set("threads", stat_number(text, StatField::kThreads))
      .set("exitCode", stat_number(text, StatField::kExitCode));
}

/// (text, name) -> a field of a process's status: { field, mask, numbers }, null what it is not.
Napi::Value read_status(Napi::Env env, std::string_view text, std::string_view name) {
  return JsObject(env)
      .set("field", status_field(text, name))
      .set("mask", status_mask(text, name))
      .set("numbers", status_numbers(text, name));
}

/// How many containers a look finds, and how many it leaves out.
struct CensusCounts {
  uint64_t found = 0, left_out = 0;
};

Result<CensusCounts> count_containers(const std::string& proc, const std::string& cgroup,
                                      std::optional<UpTo<100>> spare) {
  constexpr size_t kMany = 100;
  const auto procfs = open_directory(proc), tree = open_directory(cgroup);
  if (!procfs) return procfs.error();
  if (!tree) return tree.error();
  const auto mounts = recorded_cgroups(tree.value().get());
  if (!mounts) return mounts.error();
  Resolver resolver(mounts.value(), procfs.value().get());
  if (const auto opened = resolver.open(); !opened) return opened.error();
  std::vector<Fd> used;
  while (spare && (used.empty() || used.back())) used.emplace_back(::dup(procfs.value().get()));
  for (uint32_t i = 0; spare && i <= *spare && !used.empty(); ++i) used.pop_back();
  std::vector<Census::Discovered> found;
  const auto none = [](ContainerId) {};
  Census census(PromptResolver(resolver, nullptr), procfs.value().get(), kMany,
                {[&](Census::Discovered one) { found.push_back(std::move(one)); }, none, none});
  census.look(1);
  return CensusCounts{found.size(), census.left_out()};
}

/// (procDir, cgroupDir, spare?) -> what one look at a host tells, in a thread that can have `spare`
/// more descriptors while it looks.
Result<Napi::Value> take_census(Napi::Env env, const std::string& proc, const std::string& cgroup,
                                std::optional<UpTo<100>> spare) {
  Result<CensusCounts> counts(Error{EAGAIN, "thread"});
  Thread thread;
  const auto started = thread.start([&] {
    // What is short is short for this thread alone.
    if (::unshare(CLONE_FILES) == 0) counts = count_containers(proc, cgroup, spare);
  });
  if (!started) return started.error();
  thread.join();
  if (!counts) return counts.error();
  const auto& [found, left_out] = counts.value();
  return Napi::Value(JsObject(env).set("found", found).set("leftOut", left_out));
}

}  // namespace

void add_processes(Napi::Object& exports) {
  add<read_process>(exports, "readProcess");
  add<read_stat>(exports, "readStat");
  add<read_status>(exports, "readStatus");
  add<take_census>(exports, "takeCensus");
  add<find_moves>(exports, "findMoves");
}

}  // namespace vprocfs
