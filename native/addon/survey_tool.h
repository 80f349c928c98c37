#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "addon/bind.h"

namespace vprocfs {

/// What JavaScript asks for surveys: each is taken on a thread of its own, one at a time.
class SurveyObject : public Wrapped<SurveyObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit SurveyObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value take();
  Napi::Value read_inside(int32_t pid, const std::string& path, const std::string& device,
                          const std::string& directory);

  struct State;
  /// Shared with the thread that takes a survey.
  std::shared_ptr<State> state_;
};

}  // namespace vprocfs
