#pragma once

#include <napi.h>

#include <cerrno>
#include <utility>

#include "base/thread.h"
#include "js_error.h"

namespace vprocfs {

/// A promise of what `work` returns on a thread of its own, which may block. `settle` is called
/// with that on the JavaScript thread, and resolves or rejects the promise. Rejected with EAGAIN
/// when no thread can be had.
template <typename Work, typename Settle>
Napi::Value apart(Napi::Env env, const char* name, Work work, Settle settle) {
  auto deferred = Napi::Promise::Deferred::New(env);
  // Brings the result home, and keeps the event loop alive until then.
  auto done = Napi::ThreadSafeFunction::New(
      env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), name, 0, 1);
  Thread thread;
  const bool runs = thread.start([done, deferred, work = std::move(work), settle]() mutable {
    auto result = work();
    done.BlockingCall([result = std::move(result), deferred, settle](Napi::Env e, Napi::Function) {
      settle(e, deferred, result);
    });
    done.Release();
  });
  if (runs) {
    thread.detach();
  } else {
    done.Release();
    deferred.Reject(to_js_error(env, Error{EAGAIN, name}).Value());
  }
  return deferred.Promise();
}

}  // namespace vprocfs
