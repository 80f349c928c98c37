#include "session.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "apart.h"
#include "arguments.h"
#include "fuse/container_files.h"
#include "js_error.h"
#include "klog/record.h"
#include "to_js.h"

namespace vprocfs {
namespace {

/// What marks an object as a session of ours.
constexpr napi_type_tag kSessionTag{0x9f3d1c7a5b2e4860, 0x8c41e07d6a935bf2};

// Counters by their names in src/native/binding.ts.
constexpr JsMember<CounterSums, uint64_t> kSums[] = {
    {"renders", &CounterSums::renders},
    {"shared", &CounterSums::shared},
    {"errors", &CounterSums::errors},
    {"sourceErrors", &CounterSums::source_errors},
    {"refusedOpens", &CounterSums::refused_opens},
    {"deferred", &CounterSums::deferred},
    {"paced", &CounterSums::paced},
    {"resent", &CounterSums::resent},
};
constexpr JsMember<CallCounters, std::atomic<uint64_t>> kCalls[] = {
    {"answered", &CallCounters::answered},   {"passed", &CallCounters::passed},
    {"late", &CallCounters::late},           {"faults", &CallCounters::faults},
    {"gone", &CallCounters::gone},           {"waited", &CallCounters::waited},
    {"failed", &CallCounters::failed},       {"paced", &CallCounters::paced},
    {"resumed", &CallCounters::resumed},     {"malformed", &CallCounters::malformed},
    {"listeners", &CallCounters::listeners}, {"stuck", &CallCounters::stuck},
};

/// Averages over 1, 5 and 15 minutes.
Napi::Array load_of(Napi::Env env, const TaskFacts& tasks) {
  return to_js_list(env, tasks.load, [env](uint64_t load) {
    return to_js(env, static_cast<double>(load) / static_cast<double>(kFixedOne));
  });
}

Napi::Object resources_of(Napi::Env env, const Commons& commons) {
  JsObject out(env);
  for (size_t i = 0; i < kResources; ++i) {
    const auto resource = static_cast<Resource>(i);
    JsObject one(env);
    one.set("used", commons.used(resource))
        .set("limit", commons.bound(resource).all)
        .set("tenantLimit", commons.bound(resource).each)
        .set("refused", commons.refused(resource))
        .set("short", commons.short_of(resource));
    out.set(to_text(resource), Napi::Object(one));
  }
  return out;
}

Napi::Object record_of(Napi::Env env, const KernelLogs::Record& record) {
  return JsObject(env)
      .set("sequence", record.sequence)
      .set("timeUs", record.time_us)
      .set("priority", record.priority)
      .set("text", escape_record(record.text));
}

Napi::Object page_of(Napi::Env env, const KernelLogs::Page& page) {
  const auto record = [env](const KernelLogs::Record& one) { return record_of(env, one); };
  return JsObject(env)
      .set("records", to_js_list(env, page.records, record))
      .set("first", page.first)
      .set("next", page.next);
}

}  // namespace

Napi::Function SessionObject::define(Napi::Env env) {
  return DefineClass(
      env, "Session",
      {InstanceMethod<&SessionObject::start>("start"), InstanceMethod<&SessionObject::stop>("stop"),
       InstanceMethod<&SessionObject::counters>("counters"),
       InstanceMethod<&SessionObject::measures>("measures"),
       InstanceMethod<&SessionObject::containers>("containers"),
       InstanceMethod<&SessionObject::features>("features"),
       InstanceMethod<&SessionObject::kernel_log>("kernelLog")});
}

SessionObject::SessionObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SessionObject>(info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsObject()) {
    Napi::TypeError::New(env, "options must be an object").ThrowAsJavaScriptException();
    return;
  }
  const auto object = info[0].As<Napi::Object>();
  Arguments arguments(env, object);
  options_.plain.mountpoint = arguments.text("mountpoint");
  if (!object.Get("polledMountpoint").IsUndefined()) {
    options_.polled.mountpoint = arguments.text("polledMountpoint");
  }
  options_.type = arguments.text("fsType");
  options_.source = arguments.text("source");
  options_.max_threads = arguments.number("maxThreads", 2, 256);
  options_.server.max_open_per_tenant = arguments.number("maxOpenPerContainer", 1, 65535);
  options_.server.tick_us = uint64_t{1000} * arguments.number("tickMs", 1, 1000);
  options_.server.renders_per_second = arguments.number("rendersPerSecond", 0, 10000000);
  options_.server.max_triggers_per_tenant = arguments.number("maxTriggersPerContainer", 0, 1024);
  const std::string bpf = arguments.text("bpf");
  options_.bpf = bpf == "auto";
  if (!options_.bpf && bpf != "off") arguments.wrong("bpf", "\"auto\" or \"off\"");
  const std::string consistency = arguments.text("consistency");
  options_.server.tick = consistency == "tick";
  if (!options_.server.tick && consistency != "exact") {
    arguments.wrong("consistency", "\"exact\" or \"tick\"");
  }
  options_.kernel_log = object.Get("kernelLog").ToBoolean();
  if (const Napi::Value inherit = object.Get("inherit"); inherit.IsObject()) {
    Arguments inherited(env, inherit.As<Napi::Object>());
    const auto fd = [&inherited](const char* name) {
      return static_cast<int>(inherited.number(name, 3, 65535));
    };
    options_.plain.fuse_fd = fd("fuseFd");
    options_.plain.state_fd = fd("stateFd");
    control_fd_ = fd("controlFd");
    if (inherit.As<Napi::Object>().Get("polledFuseFd").IsNumber()) {
      options_.polled.fuse_fd = fd("polledFuseFd");
      options_.polled.state_fd = fd("polledStateFd");
    } else {
      options_.polled.mountpoint.clear();
    }
  }
  if (const Napi::Value calls = object.Get("calls"); calls.IsObject()) {
    Arguments wanted(env, calls.As<Napi::Object>());
    options_.agent.directory = wanted.text("directory");
    options_.agent.calls_per_second = wanted.number("perSecond", 0, 10000000);
    options_.agent.patience_us = wanted.number("patienceMs", 0, 3600000) * 1000;
    options_.agent.answers.affinity = wanted.flag("affinity");
  }
  const Napi::Value on_end = object.Get("onEnd");
  if (!on_end.IsFunction()) arguments.wrong("onEnd", "a function");
  const Napi::Value on_serving = object.Get("onServing");
  if (!on_serving.IsFunction()) arguments.wrong("onServing", "a function");
  if (arguments.failed()) return;
  on_end_ = Napi::ThreadSafeFunction::New(env, on_end.As<Napi::Function>(), "vprocfs", 0, 1);
  // The daemon lives as long as it wants to, not because it may be told of the end.
  on_end_.Unref(env);
  on_serving_ =
      Napi::ThreadSafeFunction::New(env, on_serving.As<Napi::Function>(), "vprocfs-serving", 0, 1);
  on_serving_.Unref(env);
  napi_type_tag_object(env, info.This(), &kSessionTag);
}

std::optional<std::shared_ptr<KillFeed>> SessionObject::kills_of(Napi::Env env, Napi::Value value) {
  bool is_session = false;
  const bool asked = value.IsObject() &&
                     napi_check_object_type_tag(env, value, &kSessionTag, &is_session) == napi_ok;
  if (!asked || !is_session) return std::nullopt;
  const SessionObject* session = Unwrap(value.As<Napi::Object>());
  if (!session->engine_) return std::shared_ptr<KillFeed>();
  return session->engine_->log_reader();
}

SessionObject::~SessionObject() {
  if (link_) link_->stop();
  if (engine_ && !stopped_) static_cast<void>(engine_->stop(true));
  if (on_end_) on_end_.Release();
  if (on_serving_) on_serving_.Release();
}

Napi::Value SessionObject::start(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (engine_) {
    Napi::Error::New(env, "already started").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto tell = [this](const std::string& reason) {
    on_end_.NonBlockingCall([reason](Napi::Env e, Napi::Function callback) {
      callback.Call({Napi::String::New(e, reason)});
    });
  };
  const auto tell_serving = [this] {
    on_serving_.NonBlockingCall([](Napi::Env, Napi::Function callback) { callback.Call({}); });
  };
  auto engine = std::make_shared<Engine>(options_, tell);
  auto started = engine->prepare();
  // Under a keeper it says when to begin: there may be a worker before us.
  if (started && control_fd_ < 0) started = engine->activate(nullptr);
  if (!started) {
    to_js_error(env, started.error()).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  engine_ = std::move(engine);
  if (control_fd_ < 0) tell_serving();
  if (control_fd_ >= 0) {
    ::fcntl(control_fd_, F_SETFD, FD_CLOEXEC);
    link_ = std::make_shared<KeeperLink>(Fd(control_fd_), *engine_, tell_serving, tell);
    const auto linked = link_->start();
    if (!linked) to_js_error(env, linked.error()).ThrowAsJavaScriptException();
  }
  return env.Undefined();
}

Napi::Value SessionObject::stop(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool unmount = info.Length() > 0 && info[0].ToBoolean();
  if (!engine_ || stopped_) {
    auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Resolve(Napi::Boolean::New(env, false));
    return deferred.Promise();
  }
  stopped_ = true;
  // Joining threads blocks.
  const auto stop = [engine = engine_, link = link_, unmount]() mutable {
    if (link) link->stop();
    const Result<bool> lazy = engine->stop(unmount);
    link.reset();
    engine.reset();
    return lazy;
  };
  return apart(
      env, "vprocfs-stop", stop,
      [](Napi::Env e, const Napi::Promise::Deferred& deferred, const Result<bool>& lazy) {
        if (!lazy) return deferred.Reject(to_js_error(e, lazy.error()).Value());
        deferred.Resolve(Napi::Boolean::New(e, lazy.value()));
      },
      Refused::kRunHere);
}

Napi::Value SessionObject::counters(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  CounterSums c;
  size_t triggers = 0, waiting = 0, notices = 0, open_files = 0, log_readers = 0;
  if (engine_) {
    engine_->for_each_server([&](const Server& server) {
      c.add(server.counters());
      triggers += server.triggers();
      log_readers += server.log_readers();
      waiting += server.waiting();
      notices += server.notices();
      open_files += server.open_files();
    });
  }
  JsObject requests(env);
  for (uint32_t op = 0; op < kOpcodes; ++op) {
    const char* name = operation_of(op).name;
    if (c.requests[op] == 0) continue;
    requests.set(name == nullptr ? "OP" + std::to_string(op) : name, c.requests[op]);
  }
  const Sampler* sampler = engine_ ? engine_->sampler() : nullptr;
  const Agent* agent = engine_ ? engine_->agent() : nullptr;
  const Commons* commons = engine_ ? engine_->commons() : nullptr;
  JsObject out(env);
  out.set("requests", Napi::Object(requests))
      .set(c, kSums)
      .set("taskPasses", sampler == nullptr ? 0 : sampler->passes())
      .set("taskPassUs", sampler == nullptr ? 0 : sampler->spent_us())
      .set("triggers", triggers)
      .set("logReaders", log_readers)
      .set("waiting", waiting)
      .set("notices", notices)
      .set("openFiles", open_files);
  if (agent != nullptr)
    out.set("calls", Napi::Object(JsObject(env).set(agent->counters(), kCalls)));
  if (commons != nullptr) out.set("resources", resources_of(env, *commons));
  count_log(out);
  out.set("containers", engine_ && engine_->registry() ? engine_->registry()->size() : 0)
      .set("threads", engine_ ? engine_->threads() : 0);
  return out;
}

void SessionObject::count_log(Napi::Object out) const {
  if (!engine_ || !engine_->log_reader() || engine_->logs() == nullptr) return;
  const Napi::Env env = out.Env();
  const LogReader::Counters done = engine_->log_reader()->counters();
  JsObject records(env), log(env);
  for (size_t i = 0; i < kLogKinds; ++i) {
    records.set(to_text(static_cast<LogKind>(i)), done.records[i]);
  }
  log.set("records", Napi::Object(records))
      .set("unproven", done.unproven)
      .set("lost", done.lost)
      .set("refused", engine_->logs()->refused())
      .set("logs", engine_->logs()->size())
      .set("bytes", engine_->logs()->bytes());
  out.Set("kernelLog", Napi::Object(log));
}

/// (id, from, most) -> a promise of {records, first, next}
Napi::Value SessionObject::kernel_log(const Napi::CallbackInfo& info) {
  constexpr double kMost = 10000;
  const Napi::Env env = info.Env();
  if (info.Length() < 3 || !info[0].IsString() || !info[1].IsNumber() || !info[2].IsNumber()) {
    Napi::TypeError::New(env, "id must be a string, from and most numbers")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto id = ContainerId::parse(info[0].As<Napi::String>().Utf8Value());
  const double from = info[1].As<Napi::Number>().DoubleValue();
  const double most = std::min(info[2].As<Napi::Number>().DoubleValue(), kMost);
  if (!id || !engine_ || !engine_->log_reader() || !(from >= 0 && from < 1e15) || !(most >= 0)) {
    auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Reject(to_js_error(env, Error{ESRCH, "kernel log"}).Value());
    return deferred.Promise();
  }
  // What a new log begins with is read from the container's cgroups.
  const auto read = [engine = engine_, id, from, most]() mutable {
    auto page = engine->kernel_log(*id, static_cast<uint64_t>(from), static_cast<size_t>(most));
    engine.reset();
    return page;
  };
  using Page = decltype(engine_->kernel_log(*id, 0, 0));
  return apart(env, "vprocfs-log", read,
               [](Napi::Env e, const Napi::Promise::Deferred& deferred, const Page& page) {
                 if (!page) return deferred.Reject(to_js_error(e, page.error()).Value());
                 deferred.Resolve(page_of(e, page.value()));
               });
}

Napi::Value SessionObject::measures(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Measures::Sum sum;
  if (engine_) {
    engine_->for_each_server([&sum](const Server& server) { server.measures().add_to(sum); });
  }
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
    const auto count = [env](uint64_t n) { return to_js(env, n); };
    JsObject one(env);
    one.set("operation", to_text(static_cast<Operation>(operation)))
        .set("buckets", to_js_list(env, sum.buckets[operation], count))
        .set("seconds", static_cast<double>(sum.took_ns[operation]) / 1e9);
    times.Set(times.Length(), Napi::Object(one));
  }
  return JsObject(env).set("requests", requests).set("times", times);
}

Napi::Value SessionObject::containers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsArray()) {
    Napi::TypeError::New(env, "ids must be an array of strings").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto ids = info[0].As<Napi::Array>();
  Napi::Array out = Napi::Array::New(env);
  Registry* registry = engine_ ? engine_->registry() : nullptr;
  const uint64_t now = boottime_us();
  for (uint32_t i = 0; registry != nullptr && i < ids.Length(); ++i) {
    const std::string name = ids.Get(i).ToString().Utf8Value();
    const auto id = ContainerId::parse(name);
    const auto found = id ? registry->by_id(*id) : Error{ESRCH, name};
    if (!found) continue;
    Container& container = *found.value();
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

Napi::Array SessionObject::log_missing(Napi::Env env) const {
  Napi::Array out = Napi::Array::New(env);
  const auto reader = engine_ ? engine_->log_reader() : nullptr;
  if (!reader || engine_->logs() == nullptr || !reader->readable()) return out;
  for (const std::string& one : reader->missing()) {
    out.Set(out.Length(), Napi::String::New(env, one));
  }
  return out;
}

Napi::Value SessionObject::features(const Napi::CallbackInfo& info) {
  const ConnectionState c = engine_ ? engine_->connection() : ConnectionState{};
  const Sampler* sampler = engine_ ? engine_->sampler() : nullptr;
  return JsObject(info.Env())
      .set("protocolMajor", c.kernel_major)
      .set("protocolMinor", c.kernel_minor)
      .set("resend", (c.kernel_flags & kFuseHasResend) != 0)
      .set("tick", c.tick != 0)
      .set("maxReadahead", c.max_readahead)
      .set("taskCounter", sampler == nullptr ? std::string() : sampler->counter())
      .set("taskCounterFallback", sampler == nullptr ? std::string() : sampler->fallback())
      .set("polled", engine_ && engine_->has_polled())
      .set("polledProblem", engine_ ? engine_->polled_problem() : std::string())
      .set("callsProblem", engine_ ? engine_->agent_problem() : std::string())
      .set("kernelLogProblem", engine_ ? engine_->log_problem() : std::string())
      .set("kernelLogMissing", log_missing(info.Env()))
      .set("stateIgnored", engine_ ? engine_->state_ignored() : std::string());
}

}  // namespace vprocfs
