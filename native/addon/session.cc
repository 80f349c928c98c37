#include "addon/session.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "addon/run_on_thread.h"
#include "addon/session_options.h"
#include "klog/record.h"

namespace vprocfs {
namespace {

/// What marks an object as a session of ours.
constexpr napi_type_tag kSessionTag{0x9f3d1c7a5b2e4860, 0x8c41e07d6a935bf2};

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
      .set("records", list_of(env, page.records, record))
      .set("first", page.first)
      .set("next", page.next);
}

}  // namespace

Napi::Function SessionObject::define(Napi::Env env) {
  using S = SessionObject;
  return DefineClass(
      env, "Session",
      {method<&S::start>("start"), method<&S::stop>("stop"), method<&S::counters>("counters"),
       method<&S::measures>("measures"), method<&S::containers>("containers"),
       method<&S::features>("features"), method<&S::files>("files"),
       method<&S::kernel_log>("kernelLog"), method<&S::more_cpus>("moreCpus"),
       method<&S::take_metrics_socket>("takeMetricsSocket"),
       method<&S::keep_metrics_socket>("keepMetricsSocket")});
}

SessionObject::SessionObject(const Napi::CallbackInfo& info) : Wrapped(info) {
  const Given given{info.Env(), info[0], "options"};
  SessionOptions options = session_options_of(given);
  options_ = std::move(options.engine);
  control_fd_ = options.control_fd;
  // The daemon lives as long as it wants to, not because it may be told of something.
  on_end_ = given.member("onEnd").callback("vprocfs");
  on_serving_ = given.member("onServing").callback("vprocfs-serving");
  on_features_ = given.member("onFeatures").callback("vprocfs-features");
  on_more_cpus_ = given.member("onMoreCpus").callback("vprocfs-more-cpus");
  if (given.failed()) return;
  // Before the callbacks go, which were there first: threads of ours call them.
  napi_add_env_cleanup_hook(info.Env(), on_teardown, this);
  engine_ = make_engine();
  napi_type_tag_object(info.Env(), info.This(), &kSessionTag);
}

Result<bool> SessionObject::stop_engine(const std::shared_ptr<Engine>& engine, bool unmount) {
  auto lazy = engine->stop(unmount);
  // Its threads that do not end may use all of it.
  if (engine->is_held()) static_cast<void>(new std::shared_ptr<Engine>(engine));
  return lazy;
}

std::shared_ptr<Engine> SessionObject::make_engine() {
  return std::make_shared<Engine>(
      options_, [this](const std::string& reason) { tell_end(reason); },
      [this] { tell(on_features_); }, [this] { tell(on_more_cpus_); });
}

std::vector<std::string> SessionObject::more_cpus() {
  std::vector<std::string> names;
  for (const ContainerId id : engine_->more_cpus()) names.push_back(id.name());
  return names;
}

int32_t SessionObject::take_metrics_socket() {
  KeptSocket* socket = engine_->metrics_socket();
  return socket == nullptr ? -1 : socket->take().release();
}

void SessionObject::keep_metrics_socket(int32_t fd) {
  if (const KeptSocket* socket = engine_->metrics_socket()) socket->keep(fd);
}

void SessionObject::tell(const Napi::ThreadSafeFunction& callback) {
  callback.NonBlockingCall([](Napi::Env, Napi::Function function) { function.Call({}); });
}

void SessionObject::tell_end(const std::string& reason) {
  on_end_.NonBlockingCall([reason](Napi::Env e, Napi::Function callback) {
    callback.Call({Napi::String::New(e, reason)});
  });
}

void SessionObject::tell_serving(const std::shared_ptr<Wake>& done) {
  on_serving_.NonBlockingCall([done](Napi::Env, Napi::Function callback) {
    callback.Call({});
    done->ring();
  });
}

std::optional<std::shared_ptr<LogReader>> SessionObject::kills_of(Napi::Env env,
                                                                  Napi::Value value) {
  bool is_session = false;
  const bool asked = value.IsObject() &&
                     napi_check_object_type_tag(env, value, &kSessionTag, &is_session) == napi_ok;
  if (!asked || !is_session) return std::nullopt;
  return Unwrap(value.As<Napi::Object>())->engine_->log_reader();
}

SessionObject::~SessionObject() {
  napi_remove_env_cleanup_hook(Env(), on_teardown, this);
  end();
}

void SessionObject::on_teardown(void* self) { static_cast<SessionObject*>(self)->end(); }

void SessionObject::end() {
  if (link_) link_->stop();
  // What a keeper has mounted stays: another worker will serve it.
  if (engine_ && !stopped_) static_cast<void>(stop_engine(engine_, options_.plain.fuse_fd < 0));
  stopped_ = true;
  for (Napi::ThreadSafeFunction* callback :
       {&on_end_, &on_serving_, &on_features_, &on_more_cpus_}) {
    if (*callback) callback->Release();
    *callback = {};
  }
}

std::optional<Error> SessionObject::start() {
  if (started_) return Error{EALREADY, "session"};
  auto started = engine_->prepare();
  // Under a keeper it says when to begin: there may be a worker before us.
  if (started && control_fd_ < 0) started = engine_->activate(nullptr);
  if (!started) {
    // With another one it may be tried again.
    engine_ = make_engine();
    return started.error();
  }
  started_ = true;
  if (control_fd_ < 0) {
    tell(on_serving_);
    return std::nullopt;
  }
  ::fcntl(control_fd_, F_SETFD, FD_CLOEXEC);
  link_ = std::make_shared<KeeperLink>(
      Fd(control_fd_), *engine_, [this](const auto& done) { tell_serving(done); },
      [this](const std::string& reason) { tell_end(reason); });
  const auto linked = link_->start();
  return linked ? std::nullopt : std::optional(linked.error());
}

Napi::Value SessionObject::stop(bool unmount) {
  const auto told = [](Napi::Env e, bool lazy) { return Napi::Boolean::New(e, lazy); };
  if (!started_ || stopped_) return settled(Env(), Result<bool>(false), told);
  stopped_ = true;
  // Joining threads blocks.
  const auto stop = [engine = engine_, link = link_, unmount]() mutable {
    if (link) link->stop();
    const Result<bool> lazy = stop_engine(engine, unmount);
    link.reset();
    engine.reset();
    return lazy;
  };
  return run_on_thread(Env(), "vprocfs-stop", stop, told, OnNoThread::kRunInline);
}

/// A promise of ContainerCounters[]
Napi::Value SessionObject::containers(const std::vector<std::string>& ids,
                                      const std::vector<int32_t>& inits) {
  const auto find = [engine = engine_, ids, inits]() mutable -> Result<bool> {
    find_containers(*engine, ids, inits);
    engine.reset();
    return true;
  };
  // Not the last who has it, on whatever thread.
  const auto tell = [weak = std::weak_ptr<Engine>(engine_), ids](Napi::Env env, bool) {
    const auto engine = weak.lock();
    return engine ? containers_of(env, *engine, ids) : Napi::Array::New(env);
  };
  // Mostly all are known. Where no thread can be had there are figures all the same.
  if (!has_unknown(*engine_, ids, inits)) return settled(Env(), Result<bool>(true), tell);
  return run_on_thread(Env(), "vprocfs-find", find, tell, OnNoThread::kRunInline);
}

/// A promise of {records, first, next}
Napi::Value SessionObject::kernel_log(const std::string& name, double from, double limit) {
  constexpr double kMaxRecords = 10000;
  const auto id = ContainerId::parse(name);
  limit = std::min(limit, kMaxRecords);
  if (!id || !engine_->log_reader() || !(from >= 0 && from < 1e15) || !(limit >= 0)) {
    return settled(Env(), Result<KernelLogs::Page>(Error{ESRCH, "kernel log"}), page_of);
  }
  // What a new log begins with is read from the container's cgroups.
  const auto read = [engine = engine_, id, from, limit]() mutable {
    auto page = engine->kernel_log(*id, static_cast<uint64_t>(from), static_cast<size_t>(limit));
    engine.reset();
    return page;
  };
  return run_on_thread(Env(), "vprocfs-log", read, page_of);
}

}  // namespace vprocfs
