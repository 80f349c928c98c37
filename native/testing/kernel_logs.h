#pragma once

#include <napi.h>

#include <memory>
#include <set>
#include <vector>

#include "base/fd.h"
#include "klog/logs.h"
#include "klog/span.h"
#include "state/state_file.h"

namespace vprocfs {

/// (action, restricted) -> whether that action of syslog(2) is for holders of CAP_SYSLOG only
Napi::Value needs_capability(const Napi::CallbackInfo& info);

/// `new KernelLogs(each, tenant, all)`: logs in a state file of their own.
class KernelLogsObject : public Napi::ObjectWrap<KernelLogsObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit KernelLogsObject(const Napi::CallbackInfo& info);

 private:
  bool open();
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value end(const Napi::CallbackInfo& info);
  Napi::Value forget_ended(const Napi::CallbackInfo& info);
  Napi::Value take_over(const Napi::CallbackInfo& info);
  Napi::Value figures(const Napi::CallbackInfo& info);
  Napi::Value begin(const Napi::CallbackInfo& info);
  Napi::Value marks(const Napi::CallbackInfo& info);
  Napi::Value clear(const Napi::CallbackInfo& info);
  Napi::Value set_console(const Napi::CallbackInfo& info);
  Napi::Value unread(const Napi::CallbackInfo& info);
  Napi::Value take(const Napi::CallbackInfo& info);
  Napi::Value again(const Napi::CallbackInfo& info);
  Napi::Value syslog(const Napi::CallbackInfo& info);
  Napi::Value give_back_text(const Napi::CallbackInfo& info);
  Napi::Value listen(const Napi::CallbackInfo& info);
  Napi::Value unlisten(const Napi::CallbackInfo& info);
  Napi::Value set_mark(const Napi::CallbackInfo& info);

  LogBounds bounds_;
  std::set<uint64_t> ended_;
  Fd memory_;
  std::unique_ptr<StateFile> state_;
  std::unique_ptr<KernelLogs> logs_;
  LogPosition from_, to_;  ///< of the last take()
  LogSpan span_;           ///< of the last syslog()
  size_t token_ = 0;
  std::vector<uint64_t> told_;  ///< since listen()
};

}  // namespace vprocfs
