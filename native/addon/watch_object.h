#pragma once

#include <napi.h>

#include <memory>

#include "watch/namespace_watch.h"

namespace vprocfs {

/// What JavaScript sees of the watch over mount namespaces.
class WatchObject : public Napi::ObjectWrap<WatchObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit WatchObject(const Napi::CallbackInfo& info);
  ~WatchObject() override;

 private:
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value stop(const Napi::CallbackInfo& info);
  Napi::Value follow(const Napi::CallbackInfo& info);
  Napi::Value state(const Napi::CallbackInfo& info);
  Napi::Value tenant_of(const Napi::CallbackInfo& info);

  Napi::ThreadSafeFunction on_events_;
  std::unique_ptr<NamespaceWatch> watch_;
};

}  // namespace vprocfs
