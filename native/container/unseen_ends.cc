#include "container/unseen_ends.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "container/life_record.h"

namespace vprocfs {
namespace {

/// How many are looked at in one step, and the pause until the next one.
constexpr size_t kAtOnce = 64;
constexpr uint64_t kPauseUs = 10'000;
/// All are looked at once in so long at most: those that are there may need all of the room.
constexpr uint64_t kRestUs = 10'000'000;

}  // namespace

UnseenEnds::UnseenEnds(StateFile* state, Is exists, Forget forget)
    : state_(state), exists_(std::move(exists)), forget_(std::move(forget)) {
  if (state_ != nullptr) due_us_ = boottime_us();
}

void UnseenEnds::look_again() {
  state_->lacks_room().drain();
  again_ = true;
  if (due_us_ == 0) due_us_ = std::max(boottime_us(), looked_us_ + kRestUs);
}

void UnseenEnds::step() {
  if (left_.empty()) {
    looked_us_ = boottime_us();
    again_ = false;
    state_->watch_room();
    left_ = state_->keys();
  }
  for (size_t i = 0; i < kAtOnce && !left_.empty(); ++i) {
    const auto id = ContainerId::from_packed(left_.back());
    left_.pop_back();
    // The kernel gives an id to no other one: what is gone stays gone.
    if (id.none() || exists_(id)) continue;
    forget_(id);
    state_->release_all(kOfLife, id.packed(), {});
  }
  if (!left_.empty()) {
    due_us_ = boottime_us() + kPauseUs;
  } else {
    due_us_ = again_ ? looked_us_ + kRestUs : 0;
  }
}

}  // namespace vprocfs
