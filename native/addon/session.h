#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <string>

#include "engine/engine.h"
#include "engine/keeper_link.h"

namespace vprocfs {

/// What JavaScript sees of a served mount. Arguments are checked here, and nowhere below.
class SessionObject : public Napi::ObjectWrap<SessionObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit SessionObject(const Napi::CallbackInfo& info);
  ~SessionObject() override;

  /// Who reads the log for a session; nullptr if the session does not serve (yet). Nothing if
  /// `value` is not a session.
  static std::optional<std::shared_ptr<LogReader>> kills_of(Napi::Env env, Napi::Value value);

 private:
  std::shared_ptr<Engine> make_engine();
  void tell_end(const std::string& reason);
  static void tell(const Napi::ThreadSafeFunction& callback);
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value stop(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  Napi::Value measures(const Napi::CallbackInfo& info);
  Napi::Value containers(const Napi::CallbackInfo& info);
  Napi::Value features(const Napi::CallbackInfo& info);
  Napi::Value files(const Napi::CallbackInfo& info);
  Napi::Value kernel_log(const Napi::CallbackInfo& info);

  EngineOptions options_;
  int control_fd_ = -1;
  Napi::ThreadSafeFunction on_end_, on_serving_, on_features_;
  std::shared_ptr<Engine> engine_;  ///< nullptr only where construction has failed
  std::shared_ptr<KeeperLink> link_;
  bool started_ = false, stopped_ = false;
};

}  // namespace vprocfs
