#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "keeper/log.h"
#include "keeper/supervisor.h"

namespace vprocfs {

void Supervisor::on_client() {
  const int client = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  ucred peer{};
  socklen_t size = sizeof(peer);
  char command[32] = {};
  // One command per connection. A client that says nothing must not hold the keeper up.
  const timeval patience{0, 200000};
  ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const bool root =
      ::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
  const ssize_t n = root ? ::recv(client, command, sizeof(command) - 1, 0) : -1;
  if (n > 0 && std::strcmp(command, "reload") == 0) return begin_reload(client);
  if (n > 0 && std::strcmp(command, "status") == 0) answer_status(client);
  ::close(client);
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
  const ConnectionState c = connection_.file->connection();
  char text[2048];
  const int length = std::snprintf(
      text, sizeof(text),
      "{\"state\":\"%s\",\"keeperPid\":%d,\"workerPid\":%d,\"generation\":%u,"
      "\"uptimeMs\":%llu,\"workerUptimeMs\":%llu,\"restarts\":%u,\"failuresInARow\":%u,"
      "\"reasons\":[%s],\"resent\":%llu,\"requests\":%llu,\"protocol\":\"%u.%u\","
      "\"resend\":%s,\"watchdogMs\":%u,\"patienceMs\":%u}",
      state, ::getpid(), current_.pid, current_.generation,
      static_cast<unsigned long long>(now - born_ms_),
      static_cast<unsigned long long>(current_.alive() ? now - current_.started_ms : 0), restarts_,
      failures_, reasons, static_cast<unsigned long long>(resent_before_ + current_.resent),
      static_cast<unsigned long long>(current_.requests), c.kernel_major, c.kernel_minor,
      connection_.resend() ? "true" : "false", options_.watchdog_ms, options_.patience_ms);
  if (length > 0) {
    ::send(client, text, static_cast<size_t>(length), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

}  // namespace vprocfs
