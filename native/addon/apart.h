#pragma once

#include <napi.h>

#include <cstdint>
#include <utility>

#include "addon/js_error.h"
#include "base/thread.h"

namespace vprocfs {

/// What to do when no thread can be had.
enum class Refused : uint8_t {
  kReject,   ///< with EAGAIN
  kRunHere,  ///< for what must be done, though JavaScript waits for it
};

/// A promise of what `work` returns on a thread of its own, which may block. `settle` is called
/// with that on the JavaScript thread, and resolves or rejects the promise.
template <typename Work, typename Settle>
Napi::Value apart(Napi::Env env, const char* name, Work work, Settle settle,
                  Refused refused = Refused::kReject) {
  auto deferred = Napi::Promise::Deferred::New(env);
  // Brings the result home, and keeps the event loop alive until then.
  auto done = Napi::ThreadSafeFunction::New(
      env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), name, 0, 1);
  Thread thread;
  const auto started = thread.start([done, deferred, work, settle]() mutable {
    auto result = work();
    done.BlockingCall([result = std::move(result), deferred, settle](Napi::Env e, Napi::Function) {
      settle(e, deferred, result);
    });
    done.Release();
  });
  if (started) {
    thread.detach();
    return deferred.Promise();
  }
  done.Release();
  if (refused == Refused::kRunHere) {
    settle(env, deferred, work());
  } else {
    deferred.Reject(to_js_error(env, started.error()).Value());
  }
  return deferred.Promise();
}

}  // namespace vprocfs
