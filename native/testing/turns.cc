#include "fuse/turns.h"

#include <fcntl.h>

#include "base/clock.h"
#include "container/registry.h"
#include "fuse/notifier.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

/// Requests of one container, whose answers nobody gets.
class Requests {
 public:
  explicit Requests(const ResourceLimits& limits, const TenantRates& rates)
      : resources_(limits),
        container_(std::make_shared<Container>(
            ContainerDescription{}, SharedServices{},
            std::make_shared<Tenant>(ContainerId(), &resources_, rates))) {}

  Turns& turns() { return turns_; }
  const Turns::ContainerPtr& container() const { return container_; }

  Answer in_turn(uint64_t unique, const Turns::Work& work) {
    fuse_in_header header{};
    header.unique = unique;
    const auto* bytes = reinterpret_cast<const uint8_t*>(&header);
    return turns_.in_turn(Request(bytes, sizeof header), container_, work);
  }

 private:
  SharedResources resources_;
  Turns::ContainerPtr container_;
  const CgroupMounts mounts_;
  const Resolver resolver_{mounts_, -1};
  Registry registry_{resolver_, SharedServices{}};
  HostSource host_{-1, -1, 0};
  const Fd nowhere_{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  const Reply reply_{nowhere_.get()};
  Notifier notifier_;
  Answers answers_{reply_, notifier_};
  Turns turns_{answers_, registry_, host_};
};

/// (per second, refusals) -> how long the next request has to wait, µs, when so many were refused
/// in the turn of another one because too many wait already.
Number wait_after_refusals(uint32_t per_second, uint32_t refusals) {
  TenantRates rates;
  rates.renders = per_second;
  Requests requests(ResourceLimits{}, rates);
  const auto ok = [](const Request&) { return Answer::ok(); };
  static_cast<void>(requests.in_turn(1, [&](const Request&) {
    for (uint64_t i = 0; i < refusals; ++i) static_cast<void>(requests.in_turn(2 + i, ok));
    return Answer::ok();
  }));
  return requests.container()->tenant().renders().take(boottime_us());
}

}  // namespace

void add_turns(Napi::Object& exports) { add<wait_after_refusals>(exports, "waitAfterRefusals"); }

}  // namespace vprocfs
