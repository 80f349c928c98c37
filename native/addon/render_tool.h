#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "addon/bind.h"
#include "container/host.h"
#include "container/mirror.h"
#include "container/registry.h"
#include "container/sampler.h"
#include "node/tree.h"
#include "source/host_source.h"

namespace vprocfs {

/// What an engine written in JavaScript needs: the same containers, sources, views and tree as the
/// native engine has, without a connection to the kernel. Used on the JavaScript thread only.
class RenderObject : public Wrapped<RenderObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit RenderObject(const Napi::CallbackInfo& info);

 private:
  Result<std::vector<std::string>> list();
  Result<Napi::Value> render(const std::string& id, const std::string& path);
  Result<Napi::Value> look(const std::string& id, const std::string& path);
  void close();
  Result<bool> open(uint64_t tick_us, bool bpf);
  Result<std::shared_ptr<Container>> container(const std::string& id);
  /// What is at a path of the mirrored sysfs; null: nothing.
  Napi::Value look_at_mirrored(const std::string& path, const Mirror::Ask& ask);

  // Each borrows from those above it.
  std::unique_ptr<Host> host_;
  std::shared_ptr<ChangeNotifier> notifier_;
  std::unique_ptr<HostSource> source_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Mirror> mirror_;
  std::optional<Tree> tree_;
};

}  // namespace vprocfs
