#include "addon/session.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "addon/arguments.h"
#include "addon/js_error.h"
#include "addon/run_on_thread.h"
#include "addon/session_figures.h"
#include "addon/session_options.h"
#include "addon/to_js.h"
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
       InstanceMethod<&SessionObject::files>("files"),
       InstanceMethod<&SessionObject::kernel_log>("kernelLog")});
}

SessionObject::SessionObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SessionObject>(info) {
  const Napi::Env env = info.Env();
  if (!expect(env, info[0].IsObject(), "options must be an object")) return;
  const auto object = info[0].As<Napi::Object>();
  SessionOptions options = session_options_of(env, object);
  options_ = std::move(options.engine);
  control_fd_ = options.control_fd;
  Arguments arguments(env, object);
  const Napi::Value on_end = object.Get("onEnd");
  if (!on_end.IsFunction()) arguments.wrong("onEnd", "a function");
  const Napi::Value on_serving = object.Get("onServing");
  if (!on_serving.IsFunction()) arguments.wrong("onServing", "a function");
  const Napi::Value on_features = object.Get("onFeatures");
  if (!on_features.IsFunction()) arguments.wrong("onFeatures", "a function");
  if (arguments.failed()) return;
  on_end_ = Napi::ThreadSafeFunction::New(env, on_end.As<Napi::Function>(), "vprocfs", 0, 1);
  // The daemon lives as long as it wants to, not because it may be told of the end.
  on_end_.Unref(env);
  on_serving_ =
      Napi::ThreadSafeFunction::New(env, on_serving.As<Napi::Function>(), "vprocfs-serving", 0, 1);
  on_serving_.Unref(env);
  on_features_ = Napi::ThreadSafeFunction::New(env, on_features.As<Napi::Function>(),
                                               "vprocfs-features", 0, 1);
  on_features_.Unref(env);
  engine_ = make_engine();
  napi_type_tag_object(env, info.This(), &kSessionTag);
}

std::shared_ptr<Engine> SessionObject::make_engine() {
  return std::make_shared<Engine>(
      options_, [this](const std::string& reason) { tell_end(reason); },
      [this] { tell(on_features_); });
}

void SessionObject::tell(const Napi::ThreadSafeFunction& callback) {
  callback.NonBlockingCall([](Napi::Env, Napi::Function function) { function.Call({}); });
}

void SessionObject::tell_end(const std::string& reason) {
  on_end_.NonBlockingCall([reason](Napi::Env e, Napi::Function callback) {
    callback.Call({Napi::String::New(e, reason)});
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
  if (link_) link_->stop();
  if (engine_ && !stopped_) static_cast<void>(engine_->stop(true));
  if (on_end_) on_end_.Release();
  if (on_serving_) on_serving_.Release();
  if (on_features_) on_features_.Release();
}

Napi::Value SessionObject::counters(const Napi::CallbackInfo& info) {
  return counters_of(info.Env(), *engine_);
}

Napi::Value SessionObject::measures(const Napi::CallbackInfo& info) {
  return measures_of(info.Env(), *engine_);
}

Napi::Value SessionObject::features(const Napi::CallbackInfo& info) {
  return features_of(info.Env(), *engine_);
}

Napi::Value SessionObject::files(const Napi::CallbackInfo& info) {
  return to_js_list(info.Env(), engine_->tree_lines());
}

Napi::Value SessionObject::containers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!expect(env, info[0].IsArray(), "ids must be an array of strings")) return env.Undefined();
  return containers_of(env, *engine_, info[0].As<Napi::Array>());
}

Napi::Value SessionObject::start(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (started_) {
    Napi::Error::New(env, "already started").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto tell_serving = [this] { tell(on_serving_); };
  auto started = engine_->prepare();
  // Under a keeper it says when to begin: there may be a worker before us.
  if (started && control_fd_ < 0) started = engine_->activate(nullptr);
  if (!started) {
    // With another one it may be tried again.
    engine_ = make_engine();
    to_js_error(env, started.error()).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  started_ = true;
  if (control_fd_ < 0) tell_serving();
  if (control_fd_ >= 0) {
    ::fcntl(control_fd_, F_SETFD, FD_CLOEXEC);
    link_ = std::make_shared<KeeperLink>(Fd(control_fd_), *engine_, tell_serving,
                                         [this](const std::string& reason) { tell_end(reason); });
    const auto linked = link_->start();
    if (!linked) to_js_error(env, linked.error()).ThrowAsJavaScriptException();
  }
  return env.Undefined();
}

Napi::Value SessionObject::stop(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool unmount = info.Length() > 0 && info[0].ToBoolean();
  const auto told = [](Napi::Env e, bool lazy) { return Napi::Boolean::New(e, lazy); };
  if (!started_ || stopped_) return settled(env, Result<bool>(false), told);
  stopped_ = true;
  // Joining threads blocks.
  const auto stop = [engine = engine_, link = link_, unmount]() mutable {
    if (link) link->stop();
    const Result<bool> lazy = engine->stop(unmount);
    link.reset();
    engine.reset();
    return lazy;
  };
  return run_on_thread(env, "vprocfs-stop", stop, told, OnNoThread::kRunInline);
}

/// (id, from, limit) -> a promise of {records, first, next}
Napi::Value SessionObject::kernel_log(const Napi::CallbackInfo& info) {
  constexpr double kMaxRecords = 10000;
  const Napi::Env env = info.Env();
  const bool fits = info[0].IsString() && info[1].IsNumber() && info[2].IsNumber();
  if (!expect(env, fits, "id must be a string, from and limit numbers")) return env.Undefined();
  const auto id = ContainerId::parse(info[0].As<Napi::String>().Utf8Value());
  const double from = info[1].As<Napi::Number>().DoubleValue();
  const double limit = std::min(info[2].As<Napi::Number>().DoubleValue(), kMaxRecords);
  if (!id || !engine_->log_reader() || !(from >= 0 && from < 1e15) || !(limit >= 0)) {
    return settled(env, Result<KernelLogs::Page>(Error{ESRCH, "kernel log"}), page_of);
  }
  // What a new log begins with is read from the container's cgroups.
  const auto read = [engine = engine_, id, from, limit]() mutable {
    auto page = engine->kernel_log(*id, static_cast<uint64_t>(from), static_cast<size_t>(limit));
    engine.reset();
    return page;
  };
  return run_on_thread(env, "vprocfs-log", read, page_of);
}

}  // namespace vprocfs
