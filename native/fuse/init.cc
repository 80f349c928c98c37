#include "fuse/init.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "base/fd.h"
#include "fuse/protocol.h"

namespace vprocfs {
namespace {

/// request_timeout of fuse_init_out, in seconds: after flags2 and max_stack_depth, which 7.38 does
/// not name either.
constexpr size_t kTimeoutAt = offsetof(fuse_init_out, flags2) + 2 * sizeof(uint32_t);
static_assert(kTimeoutAt + sizeof(uint16_t) <= sizeof(fuse_init_out));

void set_timeout(fuse_init_out& out, uint16_t seconds) {
  std::memcpy(reinterpret_cast<uint8_t*>(&out) + kTimeoutAt, &seconds, sizeof(seconds));
}

}  // namespace

InitAnswer negotiate(const uint8_t* payload, size_t size, InitRequest request, fuse_init_out& out,
                     ConnectionState& negotiated) {
  // Kernels before 7.36 send a shorter request, without flags2.
  fuse_init_in in{};
  if (size < 4 * sizeof(uint32_t)) return InitAnswer::kRefused;
  std::memcpy(&in, payload, size < sizeof(in) ? size : sizeof(in));
  out = fuse_init_out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = FUSE_KERNEL_MINOR_VERSION;
  if (in.major < FUSE_KERNEL_VERSION) return InitAnswer::kRefused;
  if (in.major > FUSE_KERNEL_VERSION) return InitAnswer::kDowngrade;

  uint64_t offered = in.flags;
  if ((offered & FUSE_INIT_EXT) != 0) offered |= uint64_t{in.flags2} << 32;
  constexpr uint64_t kWanted =
      FUSE_PARALLEL_DIROPS | FUSE_ATOMIC_O_TRUNC | FUSE_MAX_PAGES | FUSE_INIT_EXT | kFuseHasResend;
  constexpr uint64_t kForTick = FUSE_NO_OPEN_SUPPORT | FUSE_AUTO_INVAL_DATA;
  const bool can_tick = request.tick && (offered & kForTick) == kForTick;
  const uint64_t flags = offered & (kWanted | (can_tick ? kForTick : 0) |
                                    (request.longest_requests ? kFuseRequestTimeout : 0));
  out.max_readahead = in.max_readahead;
  out.flags = static_cast<uint32_t>(flags);
  out.flags2 = static_cast<uint32_t>(flags >> 32);
  // RELEASE is a background request: the default of 12 would let one container's closes hold up
  // everybody's.
  out.max_background = UINT16_MAX;
  out.congestion_threshold = UINT16_MAX;
  out.max_write = kMaxWrite;
  out.time_gran = 1;
  out.max_pages = 256;
  // The kernel makes max_request_timeout of it, where there is one.
  if ((flags & kFuseRequestTimeout) != 0) set_timeout(out, UINT16_MAX);

  negotiated = ConnectionState{};
  negotiated.initialised = 1;
  negotiated.kernel_major = in.major;
  negotiated.kernel_minor = in.minor;
  negotiated.max_readahead = in.max_readahead;
  negotiated.kernel_flags = offered;
  negotiated.flags = flags;
  negotiated.tick = can_tick ? 1 : 0;
  return InitAnswer::kAgreed;
}

bool kernel_limits_requests() {
  const Fd file(::open("/proc/sys/fs/fuse/default_request_timeout", O_RDONLY | O_CLOEXEC));
  char first = '0';
  return file && ::read(file.get(), &first, 1) == 1 && first != '0';
}

}  // namespace vprocfs
