#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/unix_socket.h"
#include "keeper/log.h"
#include "keeper/supervisor.h"

namespace vprocfs {
namespace {

// One command per connection, and a client that says none must not keep the others waiting.
constexpr uint64_t kClientMs = 1000;
// Without a descriptor for it, it has to wait.
constexpr uint64_t kNoRoomMs = 100;
constexpr int kBacklog = 16;
/// When it is tried again to make the socket: /run may be full for a moment.
constexpr uint64_t kListenAgainMs = 5000;

}  // namespace

bool Supervisor::open_socket() {
  if (options_.socket == nullptr) return true;
  // Of our earlier self: who asks meanwhile waits in its backlog.
  if (listener_ && ::fcntl(listener_.get(), F_SETFD, FD_CLOEXEC) == 0) return true;
  const auto address = UnixAddress::at(options_.socket);
  if (!address) {
    keeper_log(options_.log, LogLevel::kError, "%s: the path is too long", options_.socket);
    return false;
  }
  ::unlink(options_.socket);
  const bool first = listen_again_ms_ == 0;
  listener_ = address->listen(SOCK_STREAM, kBacklog);
  listen_again_ms_ = listener_ ? 0 : monotonic_ms() + kListenAgainMs;
  // Serving without one is better than not serving.
  if (!listener_ && first) {
    keeper_log(options_.log, LogLevel::kWarn, "%s: no control socket: %s", options_.socket,
               std::strerror(errno));
  } else if (listener_ && !first) {
    keeper_log(options_.log, LogLevel::kInfo, "%s: the control socket is there now",
               options_.socket);
  }
  return true;
}

void Supervisor::on_connect(uint64_t now) {
  client_ = Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  client_until_ms_ = now + (client_ ? kClientMs : kNoRoomMs);
}

void Supervisor::on_client() {
  Fd client = std::move(client_);
  client_until_ms_ = 0;
  char command[32] = {};
  if (!is_root_peer(client.get()) || ::recv(client.get(), command, sizeof(command) - 1, 0) <= 0)
    return;
  if (std::strcmp(command, "reload") == 0) return begin_reload(client.release());
  if (std::strcmp(command, "status") != 0) return;
  look_at_mount_ms_ = 0;
  look_after_mount(monotonic_ms());
  answer_status(client.get());
}

void Supervisor::answer_status(int client) const {
  const uint64_t now = monotonic_ms();
  const char* state = stopping_ ? "stopping" : refusing_ ? "refusing" : to_text(current_.state);
  char reasons[kReasons * (kReasonBytes + 4)] = "";
  size_t at = 0;
  for (const auto& reason : reasons_) {
    if (reason[0] == '\0') break;
    at += static_cast<size_t>(
        std::snprintf(reasons + at, sizeof(reasons) - at, "%s\"%s\"", at == 0 ? "" : ",", reason));
  }
  const ConnectionState& c = connection_.agreed;
  const char* standby = !options_.standby ? "off" : reloading_ ? "none" : to_text(next_.state);
  size_t undying = 0;
  for (const Worker& worker : retired_) undying += worker.undying(now) ? 1 : 0;
  char text[2048];
  const int length = std::snprintf(
      text, sizeof(text),
      "{\"state\":\"%s\",\"keeperPid\":%d,\"workerPid\":%d,\"generation\":%u,"
      "\"uptimeMs\":%llu,\"workerUptimeMs\":%llu,\"restarts\":%u,\"failuresInARow\":%u,"
      "\"reasons\":[%s],\"resent\":%llu,\"requests\":%llu,\"protocol\":\"%u.%u\","
      "\"resend\":%s,\"statesIgnored\":%u,\"standby\":\"%s\",\"descriptors\":%zu,\"stored\":%zu,"
      "\"descriptorsLost\":%llu,\"undying\":%zu,"
      "\"mounted\":%s,\"covered\":%s,\"polled\":%s,\"watchdogMs\":%u,"
      "\"patienceMs\":%u}",
      state, ::getpid(), current_.pid, generation_, static_cast<unsigned long long>(now - born_ms_),
      static_cast<unsigned long long>(current_.alive() ? now - current_.started_ms : 0), restarts_,
      failures_, reasons, static_cast<unsigned long long>(resent_before_ + current_.resent),
      static_cast<unsigned long long>(requests_before_ + current_.requests), c.kernel_major,
      c.kernel_minor, connection_.resend() ? "true" : "false", states_ignored_, standby,
      fd_store_.size(), store_.size(), static_cast<unsigned long long>(descriptors_lost_), undying,
      lies_ == Lies::kThere ? "true" : "false", lies_ == Lies::kCovered ? "true" : "false",
      polled_.made() ? "true" : "false", options_.watchdog_ms, options_.patience_ms);
  if (length > 0) {
    const size_t size = std::min(static_cast<size_t>(length), sizeof(text) - 1);
    ::send(client, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

}  // namespace vprocfs
