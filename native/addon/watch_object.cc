#include "addon/watch_object.h"

#include <iterator>
#include <string>
#include <utility>

#include "watch/process_namespaces.h"

namespace vprocfs {
namespace {

const char* to_text(WatchEvent::Kind kind) {
  static constexpr const char* kTexts[] = {"appeared", "mounts", "ended", "lost"};
  static_assert(std::size(kTexts) == static_cast<size_t>(WatchEvent::Kind::kLost) + 1);
  return kTexts[static_cast<size_t>(kind)];
}

Napi::Value to_js(Napi::Env env, const std::vector<WatchEvent>& events) {
  return list_of(env, events, [env](const WatchEvent& event) {
    return JsObject(env)
        .set("kind", to_text(event.kind))
        .set("pid", event.pid)
        .set("namespace", event.mount_namespace)
        .set("tenant", event.tenant)
        .set("isInit", event.init);
  });
}

const char* to_text(NamespaceWatch::Follow done) {
  static constexpr const char* kTexts[] = {"followed", "ended", "full", "shortage"};
  static_assert(std::size(kTexts) == static_cast<size_t>(NamespaceWatch::Follow::kShortage) + 1);
  return kTexts[static_cast<size_t>(done)];
}

}  // namespace

Napi::Function WatchObject::define(Napi::Env env) {
  using W = WatchObject;
  return DefineClass(
      env, "Watch",
      {method<&W::start>("start"), method<&W::stop>("stop"), method<&W::follow>("follow"),
       method<&W::state>("state"), method<&W::tenant_of>("tenantOf"),
       method<&W::representative_of>("representativeOf")});
}

WatchObject::WatchObject(const Napi::CallbackInfo& info)
    : Wrapped(info), on_events_(Given{info.Env(), info[0], "onEvents"}.callback("vprocfs-watch")) {
  if (!on_events_) return;
  watch_ = std::make_unique<NamespaceWatch>([this](std::vector<WatchEvent> events) {
    on_events_.NonBlockingCall([events = std::move(events)](Napi::Env e, Napi::Function callback) {
      callback.Call({to_js(e, events)});
    });
  });
  // Hooks are called in the reverse order: the one that frees on_events_ was added before.
  napi_add_env_cleanup_hook(info.Env(), end_with_node, this);
}

WatchObject::~WatchObject() {
  if (on_events_) napi_remove_env_cleanup_hook(Env(), end_with_node, this);
  end();
}

void WatchObject::end() {
  if (watch_) watch_->stop();
  if (on_events_) on_events_.Release();
  on_events_ = {};
}

std::optional<Error> WatchObject::start() {
  const auto started = watch_->start();
  return started ? std::nullopt : std::optional(started.error());
}

const char* WatchObject::follow(int32_t pid) { return to_text(watch_->follow(pid)); }

Napi::Object WatchObject::representative_of(int32_t pid) {
  const pid_t found = representative(pid, namespace_of(std::to_string(pid), "mnt"));
  return JsObject(Env()).set("pid", found).set("isInit", is_init(found));
}

Napi::Object WatchObject::state() {
  const NamespaceWatch::State state = watch_->state();
  return JsObject(Env())
      .set("known", state.known)
      .set("limit", state.limit)
      .set("tenantLimit", state.tenant_limit)
      .set("refused", state.refused)
      .set("short", state.crowded)
      .set("shortages", state.shortages);
}

}  // namespace vprocfs
