#pragma once

#include <cstddef>
#include <cstdint>

namespace vprocfs {

/// Messages between keeper and worker, one in each packet on a SOCK_SEQPACKET pair. The two may be
/// of different versions: numbers never change, and packets grow only at their end.
enum class KeeperMessage : uint32_t {
  kActivate = 1,   ///< keeper: take requests now; `serving` 1: every kListFds will be answered
  kDrain = 2,      ///< keeper: stop taking requests, answer what is in hand, say kDrained, exit;
                   ///< `serving` 1: the next worker is ready
  kStop = 3,       ///< keeper: unmount, answer what is in hand, exit
  kStoredFds = 4,  ///< keeper: descriptors that it stores, as a StoredFdsPacket
  kPace = 5,       ///< keeper: `requests` ms may pass between beats while nobody asks anything,
                   ///< and `lost` ms after a kIdleBeat; 0: send none. It beats at once
  kReady = 16,     ///< worker: started, has read the host, waits for kActivate; `requests`: the
                   ///< thread that says so, which lives as long as the worker serves
  kServing = 17,   ///< worker: takes requests; `why`: what it did not take over, if anything
  kDrained = 18,   ///< worker: takes no more, and has answered all that nobody else will;
                  ///< `serving` 1: a container keeps one of its threads, so that it is to be killed
  kBeat = 19,      ///< worker: alive; see `serving`
  kFailed = 20,    ///< worker: cannot serve, is about to exit; see `why`
  kStoreFd = 21,   ///< worker: store the descriptor that comes with this; see fd_packet()
  kRemoveFd = 22,  ///< worker: close the descriptor with this key
  kListFds = 23,   ///< worker: answer kStoredFds with what is stored from that place on
  kIdleBeat = 24,  ///< worker: as kBeat, and nobody has asked anything for some time
};

struct KeeperPacket {
  uint32_t type = 0;
  uint32_t serving = 0;   ///< kBeat: 1 while a thread waits for requests; kServing: connections
                          ///< that it serves, 0 from versions that know of one only; kDrained:
                          ///< see there
  uint64_t resent = 0;    ///< kBeat, kIdleBeat, kDrained: requests resent so far
  uint64_t requests = 0;  ///< kBeat, kIdleBeat, kDrained: requests answered so far
  char why[104] = {};     ///< kFailed, kServing: one line, ended by a 0
  uint64_t lost = 0;      ///< kServing: stored descriptors that did not arrive
};

/// kStoreFd, kRemoveFd and kListFds: `serving` is the kind, `requests` the key.
inline KeeperPacket fd_packet(KeeperMessage type, uint32_t kind, uint64_t key) {
  KeeperPacket packet;
  packet.type = static_cast<uint32_t>(type);
  packet.serving = kind;
  packet.requests = key;
  return packet;
}

/// The answer to kListFds: as many descriptors as there are tags.
struct StoredFdsPacket {
  static constexpr uint32_t kMaxFds = 32;
  uint32_t type = static_cast<uint32_t>(KeeperMessage::kStoredFds);
  uint32_t count = 0;
  uint64_t next = 0;  ///< the place to go on from; 0: that was all
  struct Tag {
    uint64_t key = 0;
    uint32_t kind = 0, padding = 0;
  } tags[kMaxFds];
};

/// What every version sends at least.
inline constexpr size_t kShortestPacket = offsetof(KeeperPacket, why);

/// How the worker finds what it inherits: environment variables with descriptor numbers.
inline constexpr char kFuseFdVariable[] = "VPROCFS_KEEPER_FUSE_FD";
inline constexpr char kStateFdVariable[] = "VPROCFS_KEEPER_STATE_FD";
inline constexpr char kControlFdVariable[] = "VPROCFS_KEEPER_CONTROL_FD";
/// The canonical mount point: to resolve it a worker would have to ask the mount.
inline constexpr char kMountpointVariable[] = "VPROCFS_KEEPER_MOUNTPOINT";
/// Of the connection for files that are polled; not set where there is none.
inline constexpr char kPolledFuseFdVariable[] = "VPROCFS_KEEPER_POLLED_FUSE_FD";
inline constexpr char kPolledStateFdVariable[] = "VPROCFS_KEEPER_POLLED_STATE_FD";
/// The devices of the mounted file systems, makedev(3): what lies at the mount points by now may be
/// something else. Not set where they are not known.
inline constexpr char kDeviceVariable[] = "VPROCFS_KEEPER_DEVICE";
inline constexpr char kPolledDeviceVariable[] = "VPROCFS_KEEPER_POLLED_DEVICE";

}  // namespace vprocfs
