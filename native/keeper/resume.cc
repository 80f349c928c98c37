#include "keeper/resume.h"

#include <fcntl.h>
#include <linux/fuse.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

namespace vprocfs {
namespace {

constexpr char kVariable[] = "VPROCFS_KEEPER_RESUME";
// Versions from before the store of descriptors end after 17, those from before the memo after 18,
// from before the launch after 19, with one connection only after 20, from before the control
// socket outlived them after 24, and ignore what comes after them.
constexpr int kFewestFields = 17, kFields = 25;

struct Descriptors {
  int fuse, state, refusal;
};

void own(const Descriptors& fds, const ConnectionState& negotiated, uint64_t device,
         Connection& out) {
  for (const int fd : {fds.fuse, fds.state, fds.refusal}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  out.fuse = Fd(fds.fuse);
  out.state = Fd(fds.state);
  out.refusal = Fd(fds.refusal);
  out.negotiated = negotiated;
  out.device = device;
}

}  // namespace

void write_resume(const Resume& r) {
  char text[600];
  std::snprintf(text, sizeof(text),
                "1 %d %d %d %d %d %u %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                " %u %u %u %" PRIu64 " %" PRIu64 " %d %d %d %d %d %d %u %d",
                r.fuse_fd, r.state_fd, r.refusal_fd, r.control_fd, r.worker_pid, r.generation,
                r.restarts, r.born_ms, r.worker_started_ms, r.resent, r.requests, r.device,
                r.negotiated.kernel_major, r.negotiated.kernel_minor, r.negotiated.max_readahead,
                r.negotiated.kernel_flags, r.negotiated.flags, r.fd_store_fd, r.memo_fd,
                r.launch_fd, r.polled_fuse_fd, r.polled_state_fd, r.polled_refusal_fd,
                r.connections, r.listener_fd);
  ::setenv(kVariable, text, 1);
}

Inherited read_resume(Resume& r) {
  const char* text = std::getenv(kVariable);
  if (text == nullptr) return Inherited::kNothing;
  const int fields = std::sscanf(
      text,
      "1 %d %d %d %d %d %u %u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
      " %u %u %u %" SCNu64 " %" SCNu64 " %d %d %d %d %d %d %u %d",
      &r.fuse_fd, &r.state_fd, &r.refusal_fd, &r.control_fd, &r.worker_pid, &r.generation,
      &r.restarts, &r.born_ms, &r.worker_started_ms, &r.resent, &r.requests, &r.device,
      &r.negotiated.kernel_major, &r.negotiated.kernel_minor, &r.negotiated.max_readahead,
      &r.negotiated.kernel_flags, &r.negotiated.flags, &r.fd_store_fd, &r.memo_fd, &r.launch_fd,
      &r.polled_fuse_fd, &r.polled_state_fd, &r.polled_refusal_fd, &r.connections, &r.listener_fd);
  r.negotiated.initialised = 1;
  r.negotiated.tick = (r.negotiated.flags & FUSE_NO_OPEN_SUPPORT) != 0 ? 1 : 0;
  return fields >= kFewestFields && fields <= kFields ? Inherited::kAll : Inherited::kUnknown;
}

void clear_resume() { ::unsetenv(kVariable); }

void take_over(const Resume& r, Connection& out) {
  for (const int fd : {r.control_fd, r.memo_fd, r.launch_fd}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  own({r.fuse_fd, r.state_fd, r.refusal_fd}, r.negotiated, r.device, out);
}

bool take_over_polled(const Resume& r, const MemoRecord& known, Connection& out) {
  const auto& its = known.connections[out.number];
  if (r.polled_fuse_fd < 0 || its.negotiated.initialised != 1) return false;
  own({r.polled_fuse_fd, r.polled_state_fd, r.polled_refusal_fd}, its.negotiated, its.device, out);
  return true;
}

}  // namespace vprocfs
