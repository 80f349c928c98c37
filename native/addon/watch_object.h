#pragma once

#include <napi.h>

#include <memory>

#include "addon/bind.h"
#include "watch/namespace_watch.h"

namespace vprocfs {

/// What JavaScript sees of the watch over mount namespaces.
class WatchObject : public Wrapped<WatchObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit WatchObject(const Napi::CallbackInfo& info);
  ~WatchObject() override;

 private:
  std::optional<Error> start();
  void stop() { watch_->stop(); }
  const char* follow(int32_t pid);
  Napi::Object representative_of(int32_t pid);
  /// No thread calls on_events_ any more. Also what Node calls when it ends, before it frees that.
  void end();
  static void end_with_node(void* watch) { static_cast<WatchObject*>(watch)->end(); }
  Napi::Object state();
  uint64_t tenant_of(int32_t pid) { return watch_->tenant_of(pid); }

  Napi::ThreadSafeFunction on_events_;
  std::unique_ptr<NamespaceWatch> watch_;
};

}  // namespace vprocfs
