#include "addon/session_figures.h"

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "addon/bind.h"
#include "fuse/files/container_files.h"

namespace vprocfs {
namespace {

/// A counter of a struct of them, and its name in src/native/binding.ts.
template <typename T>
struct JsMember {
  const char* name;
  std::atomic<uint64_t> T::*member;
};

/// The figures of several together.
template <typename T, size_t N>
void set_sums(JsObject& out, const std::vector<const T*>& all, const JsMember<T> (&members)[N]) {
  for (const auto& [name, member] : members) {
    uint64_t sum = 0;
    for (const T* one : all) sum += one->*member;
    out.set(name, sum);
  }
}

constexpr JsMember<Counters> kSums[] = {
    {"renders", &Counters::renders},
    {"shared", &Counters::shared},
    {"errors", &Counters::errors},
    {"sourceErrors", &Counters::source_errors},
    {"refusedOpens", &Counters::refused_opens},
    {"deferred", &Counters::deferred},
    {"paced", &Counters::paced},
    {"resent", &Counters::resent},
};
constexpr JsMember<CallCounters> kCalls[] = {
    {"answered", &CallCounters::answered},   {"passed", &CallCounters::passed},
    {"late", &CallCounters::late},           {"faults", &CallCounters::faults},
    {"gone", &CallCounters::gone},           {"waited", &CallCounters::waited},
    {"failed", &CallCounters::failed},       {"paced", &CallCounters::paced},
    {"resumed", &CallCounters::resumed},     {"malformed", &CallCounters::malformed},
    {"listeners", &CallCounters::listeners}, {"stuck", &CallCounters::stuck},
};

/// Averages over 1, 5 and 15 minutes.
Napi::Array load_of(Napi::Env env, const TaskFacts& tasks) {
  return list_of(env, tasks.load, [env](uint64_t load) {
    return Napi::Number::New(env, static_cast<double>(load) / static_cast<double>(kFixedOne));
  });
}

Napi::Object resources_of(Napi::Env env, const SharedResources& shared) {
  JsObject out(env);
  for (size_t i = 0; i < kResources; ++i) {
    const auto resource = static_cast<Resource>(i);
    JsObject one(env);
    one.set("used", shared.used(resource))
        .set("limit", shared.limit(resource).total)
        .set("tenantLimit", shared.limit(resource).per_tenant)
        .set("refused", shared.refused(resource))
        .set("short", shared.short_of(resource));
    out.set(to_text(resource), Napi::Object(one));
  }
  return out;
}

/// Nothing where containers have none.
std::optional<Napi::Object> kernel_log_of(Napi::Env env, const Engine& engine) {
  if (!engine.log_reader() || engine.logs() == nullptr) return std::nullopt;
  const LogReader::Counters done = engine.log_reader()->counters();
  JsObject records(env), log(env);
  for (size_t i = 0; i < kLogKinds; ++i) {
    records.set(to_text(static_cast<LogKind>(i)), done.records[i]);
  }
  log.set("records", Napi::Object(records))
      .set("unproven", done.unproven)
      .set("lost", done.lost)
      .set("refused", engine.logs()->refused())
      .set("logs", engine.logs()->size())
      .set("bytes", engine.logs()->bytes());
  return log;
}

/// null until it is known.
std::optional<std::vector<std::string>> log_missing(const Engine& engine) {
  const auto reader = engine.log_reader();
  const bool reads = reader && engine.logs() != nullptr && reader->readable();
  return reads ? reader->missing() : std::vector<std::string>();
}

}  // namespace

Napi::Object counters_of(Napi::Env env, const Engine& engine) {
  std::vector<const Counters*> all;
  size_t triggers = 0, waiting = 0, notices = 0, open_files = 0, log_readers = 0;
  engine.for_each_server([&](const Server& server) {
    all.push_back(&server.counters());
    triggers += server.triggers();
    log_readers += server.log_readers();
    waiting += server.waiting();
    notices += server.notices();
    open_files += server.open_files();
  });
  JsObject requests(env);
  for (uint32_t op = 0; op < kOpcodes; ++op) {
    uint64_t sum = 0;
    for (const Counters* counters : all) sum += counters->requests[op];
    if (sum == 0) continue;
    const char* name = operation_of(op).name;
    requests.set(name == nullptr ? "OP" + std::to_string(op) : name, sum);
  }
  const Sampler* sampler = engine.sampler();
  const Agent* agent = engine.agent();
  const SharedResources* shared = engine.shared_resources();
  const Registry* registry = engine.registry();
  JsObject out(env);
  out.set("requests", Napi::Object(requests));
  set_sums(out, all, kSums);
  out.set("taskPasses", sampler == nullptr ? 0 : sampler->passes())
      .set("taskPassUs", sampler == nullptr ? 0 : sampler->spent_us())
      .set("triggers", triggers)
      .set("logReaders", log_readers)
      .set("waiting", waiting)
      .set("notices", notices)
      .set("openFiles", open_files);
  if (agent != nullptr) {
    JsObject calls(env);
    set_sums(calls, std::vector{&agent->counters()}, kCalls);
    out.set("calls", Napi::Object(calls));
  }
  if (shared != nullptr) out.set("resources", resources_of(env, *shared));
  if (const auto log = kernel_log_of(env, engine)) out.set("kernelLog", *log);
  out.set("containers", registry == nullptr ? 0 : registry->size())
      .set("threads", engine.threads());
  return out;
}

Napi::Object measures_of(Napi::Env env, const Engine& engine) {
  Measures::Sum sum;
  engine.for_each_server([&sum](const Server& server) { server.measures().add_to(sum); });
  Napi::Array requests = Napi::Array::New(env);
  for (size_t file = 0; file < Measures::kFiles; ++file) {
    for (size_t i = 0; i < kOutcomes; ++i) {
      if (sum.requests[file][i] == 0) continue;
      const View* view = find_view(static_cast<uint16_t>(file));
      JsObject one(env);
      one.set("file", view == nullptr ? std::string_view() : view->path)
          .set("result", to_text(static_cast<Outcome>(i)))
          .set("count", sum.requests[file][i]);
      requests.Set(requests.Length(), Napi::Object(one));
    }
  }
  Napi::Array times = Napi::Array::New(env);
  for (size_t operation = 0; operation < kOperations; ++operation) {
    JsObject one(env);
    one.set("operation", to_text(static_cast<Operation>(operation)))
        .set("buckets", list_of(env, sum.buckets[operation],
                                [env](uint64_t n) { return Js<uint64_t>::to(env, n); }))
        .set("seconds", static_cast<double>(sum.took_ns[operation]) / 1e9);
    times.Set(times.Length(), Napi::Object(one));
  }
  return JsObject(env).set("requests", requests).set("times", times);
}

bool has_unknown(const Engine& engine, const std::vector<std::string>& ids,
                 const std::vector<int32_t>& inits) {
  const Registry* registry = engine.registry();
  if (registry == nullptr) return false;
  for (size_t i = 0; i < ids.size() && i < inits.size(); ++i) {
    const auto id = ContainerId::parse(ids[i]);
    const auto found = id ? registry->known(*id) : nullptr;
    if (id && inits[i] > 0 && (!found || found->dead())) return true;
  }
  return false;
}

void find_containers(const Engine& engine, const std::vector<std::string>& ids,
                     const std::vector<int32_t>& inits) {
  constexpr uint64_t kWithinUs = 500'000;
  Registry* registry = engine.registry();
  if (registry == nullptr) return;
  const uint64_t until_us = monotonic_us() + kWithinUs;
  for (size_t i = 0; i < ids.size() && i < inits.size() && monotonic_us() < until_us; ++i) {
    const auto id = ContainerId::parse(ids[i]);
    // Whoever cannot be found now may be the next time.
    if (id && inits[i] > 0) static_cast<void>(registry->for_operator(*id, inits[i]));
  }
}

Napi::Array containers_of(Napi::Env env, const Engine& engine,
                          const std::vector<std::string>& ids) {
  Napi::Array out = Napi::Array::New(env);
  const Registry* registry = engine.registry();
  const uint64_t now = boottime_us();
  for (const std::string& name : ids) {
    const auto id = ContainerId::parse(name);
    const auto found = id && registry != nullptr ? registry->known(*id) : nullptr;
    if (!found || found->dead()) continue;
    Container& container = *found;
    JsObject one(env);
    one.set("id", name)
        .set("requests", container.requests.load())
        .set("refused", container.refused.load())
        .set("openFiles", ContainerFiles::of(container).open_files())
        .set("heldBytes", ContainerFiles::of(container).held_bytes())
        .set("load", load_of(env, container.tasks(kNeedTasks, now)));
    out.Set(out.Length(), Napi::Object(one));
  }
  return out;
}

Napi::Object features_of(Napi::Env env, const Engine& engine) {
  const ConnectionState c = engine.connection();
  const Sampler* sampler = engine.sampler();
  return JsObject(env)
      .set("protocolMajor", c.kernel_major)
      .set("protocolMinor", c.kernel_minor)
      .set("resend", (c.kernel_flags & kFuseHasResend) != 0)
      .set("tick", c.tick != 0)
      .set("maxReadahead", c.max_readahead)
      .set("taskCounter", sampler == nullptr ? std::string() : sampler->counter())
      .set("taskCounterFallback", sampler == nullptr ? std::string() : sampler->fallback())
      .set("polled", engine.has_polled())
      .set("polledProblem", engine.polled_problem())
      .set("callsProblem", engine.agent_problem())
      .set("kernelLogProblem", engine.log_problem())
      .set("kernelLogMissing", log_missing(engine))
      .set("stateIgnored", engine.state_ignored());
}

}  // namespace vprocfs
