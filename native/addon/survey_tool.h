#pragma once

#include <napi.h>

#include <memory>

namespace vprocfs {

/// What JavaScript asks for surveys: each is taken on a thread of its own, one at a time.
class SurveyObject : public Napi::ObjectWrap<SurveyObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit SurveyObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value take(const Napi::CallbackInfo& info);
  Napi::Value read_inside(const Napi::CallbackInfo& info);

  struct State;
  /// Shared with the thread that takes a survey.
  std::shared_ptr<State> state_;
};

}  // namespace vprocfs
