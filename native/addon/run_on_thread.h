#pragma once

#include <napi.h>

#include <cstdint>
#include <utility>

#include "addon/js_error.h"
#include "base/thread.h"

namespace vprocfs {

/// What to do when no thread can be had.
enum class OnNoThread : uint8_t {
  kReject,     ///< with EAGAIN
  kRunInline,  ///< for what must be done, though JavaScript waits for it
};

/// Keeps a promise with `make(env, value)`, or rejects it with the error.
template <typename T, typename Make>
Napi::Value settle(Napi::Env env, const Napi::Promise::Deferred& deferred, const Result<T>& result,
                   Make make) {
  if (result) {
    deferred.Resolve(make(env, result.value()));
  } else {
    deferred.Reject(to_js_error(env, result.error()).Value());
  }
  return deferred.Promise();
}

/// A promise that is settled already.
template <typename T, typename Make>
Napi::Value settled(Napi::Env env, const Result<T>& result, Make make) {
  return settle(env, Napi::Promise::Deferred::New(env), result, make);
}

/// A promise of the Result that `work` returns on a thread of its own, which may block; `make` as
/// of settle().
template <typename Work, typename Make>
Napi::Value run_on_thread(Napi::Env env, const char* name, Work work, Make make,
                          OnNoThread on_no_thread = OnNoThread::kReject) {
  auto deferred = Napi::Promise::Deferred::New(env);
  // Brings the result home, and keeps the event loop alive until then.
  auto done = Napi::ThreadSafeFunction::New(
      env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), name, 0, 1);
  Thread thread;
  const auto started = thread.start([done, deferred, work, make]() mutable {
    auto result = work();
    done.BlockingCall([result = std::move(result), deferred, make](Napi::Env e, Napi::Function) {
      settle(e, deferred, result, make);
    });
    done.Release();
  });
  if (started) {
    thread.detach();
    return deferred.Promise();
  }
  done.Release();
  using Done = decltype(work());
  return settle(env, deferred,
                on_no_thread == OnNoThread::kRunInline ? work() : Done(started.error()), make);
}

}  // namespace vprocfs
