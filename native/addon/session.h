#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "addon/bind.h"
#include "addon/session_figures.h"
#include "engine/engine.h"
#include "engine/keeper_link.h"

namespace vprocfs {

/// What JavaScript sees of a served mount. Arguments are checked here, and nowhere below.
class SessionObject : public Wrapped<SessionObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit SessionObject(const Napi::CallbackInfo& info);
  ~SessionObject() override;

  /// Who reads the log for a session; nullptr if the session does not serve (yet). Nothing if
  /// `value` is not a session.
  static std::optional<std::shared_ptr<LogReader>> kills_of(Napi::Env env, Napi::Value value);

 private:
  static void on_teardown(void* self);
  /// Without JavaScript's stop().
  void end();
  std::shared_ptr<Engine> make_engine();
  /// As Engine::stop(). One that is held stays.
  static Result<bool> stop_engine(const std::shared_ptr<Engine>& engine, bool unmount);
  void tell_end(const std::string& reason);
  /// The same of `on_serving_`, and rings `done` once JavaScript has returned.
  void tell_serving(const std::shared_ptr<Wake>& done);
  static void tell(const Napi::ThreadSafeFunction& callback);
  std::optional<Error> start();
  Napi::Value stop(bool unmount);
  Napi::Object counters() { return counters_of(Env(), *engine_); }
  Napi::Object measures() { return measures_of(Env(), *engine_); }
  Napi::Value containers(const std::vector<std::string>& ids, const std::vector<int32_t>& inits);
  Napi::Object features() { return features_of(Env(), *engine_); }
  std::vector<std::string> more_cpus();
  std::vector<std::string> files() { return engine_->tree_lines(); }
  int32_t take_metrics_socket();
  void keep_metrics_socket(int32_t fd);
  Napi::Value kernel_log(const std::string& id, double from, double limit);

  EngineOptions options_;
  int control_fd_ = -1;
  Napi::ThreadSafeFunction on_end_, on_serving_, on_features_, on_more_cpus_;
  std::shared_ptr<Engine> engine_;  ///< nullptr only where construction has failed
  std::shared_ptr<KeeperLink> link_;
  bool started_ = false, stopped_ = false;
};

}  // namespace vprocfs
