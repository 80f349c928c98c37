#include "addon/watch_object.h"

#include <iterator>
#include <utility>

#include "addon/arguments.h"
#include "addon/js_error.h"
#include "addon/to_js.h"

namespace vprocfs {
namespace {

const char* to_text(WatchEvent::Kind kind) {
  static constexpr const char* kTexts[] = {"appeared", "mounts", "ended", "lost"};
  static_assert(std::size(kTexts) == static_cast<size_t>(WatchEvent::Kind::kLost) + 1);
  return kTexts[static_cast<size_t>(kind)];
}

Napi::Value to_js(Napi::Env env, const std::vector<WatchEvent>& events) {
  return to_js_list(env, events, [env](const WatchEvent& event) {
    return JsObject(env)
        .set("kind", to_text(event.kind))
        .set("pid", event.pid)
        .set("namespace", event.mount_namespace)
        .set("tenant", event.tenant);
  });
}

const char* to_text(NamespaceWatch::Follow done) {
  static constexpr const char* kTexts[] = {"followed", "ended", "full", "shortage"};
  static_assert(std::size(kTexts) == static_cast<size_t>(NamespaceWatch::Follow::kShortage) + 1);
  return kTexts[static_cast<size_t>(done)];
}

}  // namespace

Napi::Function WatchObject::define(Napi::Env env) {
  return DefineClass(
      env, "Watch",
      {InstanceMethod<&WatchObject::start>("start"), InstanceMethod<&WatchObject::stop>("stop"),
       InstanceMethod<&WatchObject::follow>("follow"), InstanceMethod<&WatchObject::state>("state"),
       InstanceMethod<&WatchObject::tenant_of>("tenantOf")});
}

WatchObject::WatchObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WatchObject>(info) {
  const Napi::Env env = info.Env();
  if (!expect(env, info[0].IsFunction(), "onEvents must be a function")) return;
  on_events_ =
      Napi::ThreadSafeFunction::New(env, info[0].As<Napi::Function>(), "vprocfs-watch", 0, 1);
  on_events_.Unref(env);
  watch_ = std::make_unique<NamespaceWatch>([this](std::vector<WatchEvent> events) {
    on_events_.NonBlockingCall([events = std::move(events)](Napi::Env e, Napi::Function callback) {
      callback.Call({to_js(e, events)});
    });
  });
}

WatchObject::~WatchObject() {
  if (watch_) watch_->stop();
  if (on_events_) on_events_.Release();
}

Napi::Value WatchObject::start(const Napi::CallbackInfo& info) {
  const auto started = watch_->start();
  if (!started) to_js_error(info.Env(), started.error()).ThrowAsJavaScriptException();
  return info.Env().Undefined();
}

Napi::Value WatchObject::stop(const Napi::CallbackInfo& info) {
  watch_->stop();
  return info.Env().Undefined();
}

Napi::Value WatchObject::follow(const Napi::CallbackInfo& info) {
  const auto done = info[0].IsNumber() ? watch_->follow(info[0].As<Napi::Number>().Int32Value())
                                       : NamespaceWatch::Follow::kEnded;
  return Napi::String::New(info.Env(), to_text(done));
}

Napi::Value WatchObject::state(const Napi::CallbackInfo& info) {
  const NamespaceWatch::State state = watch_->state();
  return JsObject(info.Env())
      .set("known", state.known)
      .set("limit", state.limit)
      .set("tenantLimit", state.tenant_limit)
      .set("refused", state.refused)
      .set("shortages", state.shortages);
}

Napi::Value WatchObject::tenant_of(const Napi::CallbackInfo& info) {
  const pid_t pid = info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(watch_->tenant_of(pid)));
}

}  // namespace vprocfs
