#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/fixed_text.h"
#include "base/json_writer.h"
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
  const char* standby = !options_.standby ? "off" : reloading_ ? "none" : to_text(next_.state);
  const ConnectionState& c = connection_.negotiated;
  char protocol[32];
  std::snprintf(protocol, sizeof(protocol), "%u.%u", c.kernel_major, c.kernel_minor);
  size_t unkillable = 0;
  for (const Worker& worker : retired_) unkillable += worker.unkillable(now) ? 1 : 0;
  FixedText<kReasons * kReasonBytes * kJsonEscapeBytes + 2048> answer;
  JsonWriter json(answer);
  json.begin_object();
  json.key("state").text(state);
  json.key("keeperPid").number(::getpid());
  json.key("workerPid").number(current_.pid);
  json.key("generation").number(generation_);
  json.key("uptimeMs").number(now - born_ms_);
  json.key("workerUptimeMs").number(current_.alive() ? now - current_.started_ms : 0);
  json.key("restarts").number(restarts_);
  json.key("failuresInARow").number(failures_);
  json.key("reasons").begin_array();
  for (const auto& reason : reasons_) {
    if (reason[0] != '\0') json.text(reason);
  }
  json.end_array();
  json.key("resent").number(resent_before_ + current_.resent);
  json.key("requests").number(requests_before_ + current_.requests);
  json.key("protocol").text(protocol);
  json.key("resend").boolean(connection_.resend());
  json.key("statesIgnored").number(states_ignored_);
  json.key("standby").text(standby);
  json.key("descriptors").number(fd_store_.size());
  json.key("stored").number(store_.size());
  json.key("descriptorsLost").number(descriptors_lost_);
  json.key("undying").number(unkillable);
  json.key("mounted").boolean(lies_ == Lies::kThere);
  json.key("covered").boolean(lies_ == Lies::kCovered);
  json.key("polled").boolean(polled_.made());
  json.key("watchdogMs").number(options_.watchdog_ms);
  json.key("patienceMs").number(options_.patience_ms);
  json.end_object();
  const std::string_view text = answer.text();
  ::send(client, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace vprocfs
