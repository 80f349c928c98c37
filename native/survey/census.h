#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/fd.h"
#include "container/resolve.h"

namespace vprocfs {

/// Who is there: the containers of a host, kept from one look to the next, so that a look costs
/// what has changed and not what there is. Not thread-safe; borrows its arguments.
class Census {
 public:
  /// Containers beyond `most` are not told, nor a tenant's beyond its part: who may nest containers
  /// could make any number.
  Census(const Resolver& resolver, int procfs_fd, size_t most)
      : resolver_(resolver), procfs_fd_(procfs_fd), most_(most) {}

  struct Came {
    ContainerDescription description;
    Fd init;  ///< pidfd
  };
  using OnCame = std::function<void(Came)>;
  using OnLeft = std::function<void(ContainerId)>;

  /// Takes in what happened since the last look. A container that starts while we look may be told
  /// under another id, which leaves when it is known better. `now_us` is CLOCK_BOOTTIME.
  void look(uint64_t now_us, const OnCame& came, const OnLeft& left);

  /// How many were not told of at the last look.
  size_t left_out() const;

 private:
  struct Seen {
    uint64_t since_us = 0;
    bool settled = false;  ///< it was looked at when it was old enough to stay where it is
  };
  struct Room {
    ContainerId id;  ///< none: no container
    uint64_t since_us = 0, checked_us = 0;
  };
  using Rooms = std::map<Resolver::Room, Room>;

  void drop_dead(const OnLeft& left);
  void visit(pid_t pid, uint64_t now_us, const OnCame& came, const OnLeft& left);
  void leave(ContainerId id, const OnLeft& left);
  bool has_room(ContainerId tenant) const;

  const Resolver& resolver_;
  const int procfs_fd_;
  const size_t most_;
  std::unordered_map<pid_t, Seen> processes_;
  Rooms rooms_;
  struct Init {
    int fd = -1;  ///< a pidfd, which whoever was told owns
    ContainerId tenant;
  };
  std::map<ContainerId, Init> inits_;
  std::map<ContainerId, size_t> of_tenants_;  ///< how many of `inits_` each has
  uint64_t full_us_ = 0;
};

}  // namespace vprocfs
