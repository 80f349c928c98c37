#include "klog/owners.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "container/host.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

/// `new LogOwners()`: the containers of this host that may own records of its log.
class LogOwnersObject : public Wrapped<LogOwnersObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "LogOwners", {method<&LogOwnersObject::of_path>("ofPath")});
  }

  explicit LogOwnersObject(const Napi::CallbackInfo& info) : Wrapped(info) {
    auto host = Host::open();
    if (!host) {
      throw_error(info.Env(), host.error());
      return;
    }
    host_ = std::move(host.value());
    owners_ = std::make_unique<LogOwners>(host_->mounts, PromptResolver(*host_->resolver, nullptr),
                                          host_->procfs.get());
  }

 private:
  /// (path, nowUs) -> the ids of the containers that a memory cgroup is in, the outermost first.
  std::vector<std::string> of_path(const std::string& path, uint64_t now_us) {
    std::vector<std::string> out;
    for (const LogOwner* owner : owners_->of_path(LogOwners::Path::kMemory, path, now_us)) {
      out.push_back(owner->description.id.name());
    }
    return out;
  }

  std::unique_ptr<Host> host_;
  std::unique_ptr<LogOwners> owners_;  // borrows from it
};

}  // namespace

void add_log_owners(Napi::Object& exports) {
  exports.Set("LogOwners", LogOwnersObject::define(exports.Env()));
}

}  // namespace vprocfs
