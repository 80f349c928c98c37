#include "container/census.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "container/host.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

/// `new Census(most)`: containers of this host, `most` of them at most.
class CensusObject : public Wrapped<CensusObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    using C = CensusObject;
    return DefineClass(
        env, "Census",
        {method<&C::look>("look"), method<&C::look_at>("lookAt"), method<&C::found>("found")});
  }

  explicit CensusObject(const Napi::CallbackInfo& info) : Wrapped(info) {
    const auto given = arguments<uint32_t>(info);
    if (!given) return;
    auto host = Host::open();
    if (!host) {
      throw_error(info.Env(), host.error());
      return;
    }
    host_ = std::move(host.value());
    census_ = std::make_unique<Census>(
        PromptResolver(*host_->resolver, nullptr), host_->procfs.get(), std::get<0>(*given),
        Census::Callbacks{[this](Census::Discovered one) {
                            const ContainerId id = one.description.id;
                            found_.insert_or_assign(id, std::move(one));
                          },
                          [this](ContainerId id) { found_.erase(id); }, [](ContainerId) {}});
  }

 private:
  void look(uint64_t now_us) { census_->look(now_us); }

  /// (pid, nowUs) -> whether the process is in a container, which is found.
  bool look_at(pid_t pid, uint64_t now_us) { return census_->look_at(pid, now_us); }

  /// -> the ids of those that it knows.
  std::vector<std::string> found() {
    std::vector<std::string> out;
    for (const auto& [id, one] : found_) out.push_back(id.name());
    return out;
  }

  std::unique_ptr<Host> host_;
  std::map<ContainerId, Census::Discovered> found_;
  std::unique_ptr<Census> census_;  // borrows from both
};

}  // namespace

void add_census(Napi::Object& exports) {
  exports.Set("Census", CensusObject::define(exports.Env()));
}

}  // namespace vprocfs
