#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <string>

#include "container/host.h"
#include "container/mirror.h"
#include "container/registry.h"
#include "container/sampler.h"
#include "node/tree.h"
#include "source/host_source.h"

namespace vprocfs {

/// What an engine written in JavaScript needs: the same containers, sources, views and tree as the
/// native engine has, without a connection to the kernel. Used on the JavaScript thread only.
class RenderObject : public Napi::ObjectWrap<RenderObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit RenderObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value list(const Napi::CallbackInfo& info);
  Napi::Value render(const Napi::CallbackInfo& info);
  Napi::Value look(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Result<bool> open(uint64_t tick_us, bool bpf);
  bool usable(Napi::Env env) const;
  /// What is at a path of the mirrored sysfs; null: nothing.
  Napi::Value look_at_mirrored(Napi::Env env, const std::string& path, const Mirror::Ask& ask);

  // Each borrows from those above it.
  std::unique_ptr<Host> host_;
  std::unique_ptr<ChangeNotifier> notifier_;
  std::unique_ptr<HostSource> source_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Mirror> mirror_;
  std::optional<Tree> tree_;
};

}  // namespace vprocfs
