#include "klog/owner_translator.h"

#include <cstdint>
#include <string_view>

#include "source/parse.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr uint64_t kNobody = 65534, kNoUser = UINT32_MAX;

}  // namespace

std::optional<pid_t> OwnerTranslator::pid(pid_t host) {
  auto known = known_.find(host);
  if (known == known_.end()) {
    // The line is proven to be this container's. At worst this is another process of the container.
    known = known_.emplace(host, owners_.process(host, moment_, LogOwners::Young::kMaybe)).first;
  }
  const auto& process = known->second;
  if (!process || !LogOwners::is_inside(*process, owner_)) return std::nullopt;
  return process->numbers[owner_.depth];
}

uint64_t OwnerTranslator::user(uint64_t host) {
  if (host == kNoUser) return host;
  if (!users_) {
    users_.emplace();
    const std::string path = std::to_string(owner_.description.init) + "/uid_map";
    const auto text = read_file(procfs_fd_, path);
    for_each_line(text ? text.value() : std::string(), [&](std::string_view line) {
      const auto next = [&line] {
        line = trim(line);
        return parse_u64(take_word(line)).value_or(0);
      };
      Users users;
      users.inside = next();
      users.outside = next();
      users.count = next();
      users_->push_back(users);
    });
  }
  for (const Users& users : *users_) {
    if (host >= users.outside && host - users.outside < users.count) {
      return users.inside + (host - users.outside);
    }
  }
  return kNobody;
}

}  // namespace vprocfs
