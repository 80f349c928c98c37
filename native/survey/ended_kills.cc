#include "survey/ended_kills.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vprocfs {
namespace {

// A container that hangs must not have the list grow.
constexpr size_t kMaxOpen = 1024;

}  // namespace

void EndedKills::add(std::vector<Owners> kills) {
  std::move(kills.begin(), kills.end(), std::back_inserter(open_));
  if (open_.size() > kMaxOpen) {
    open_.erase(open_.begin(), open_.end() - static_cast<ptrdiff_t>(kMaxOpen));
  }
}

void EndedKills::settle(const StateOf& state_of) {
  std::vector<Owners> waiting;
  for (Owners& owners : open_) {
    const auto has = [&](Container state) {
      return std::any_of(owners.begin(), owners.end(),
                         [&](ContainerId id) { return state_of(id) == state; });
    };
    if (has(Container::kShown)) continue;
    if (has(Container::kLives)) {
      waiting.push_back(std::move(owners));
    } else {
      ++count_;
    }
  }
  open_ = std::move(waiting);
}

}  // namespace vprocfs
