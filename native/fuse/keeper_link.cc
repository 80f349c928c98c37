#include "fuse/keeper_link.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace vprocfs {
namespace {

constexpr int kBeatMs = 500;

// A reason that is not the end of anything gone wrong; known to the daemon.
constexpr char kDrainedReason[] = "drained";
constexpr char kStopReason[] = "stop";
constexpr char kAloneReason[] = "alone";

KeeperPacket packet_of(KeeperMessage type) {
  KeeperPacket packet;
  packet.type = static_cast<uint32_t>(type);
  return packet;
}

}  // namespace

KeeperLink::KeeperLink(Fd control, Engine& engine, OnServing on_serving, OnEnd on_end)
    : control_(std::move(control)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      engine_(engine),
      on_serving_(std::move(on_serving)),
      on_end_(std::move(on_end)) {}

KeeperLink::~KeeperLink() { stop(); }

void KeeperLink::start() {
  send(packet_of(KeeperMessage::kReady));
  thread_ = std::thread([this] { run(); });
}

void KeeperLink::stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof(one)) < 0) return;
  thread_.join();
}

bool KeeperLink::send(KeeperPacket packet) const {
  return ::send(control_.get(), &packet, sizeof(packet), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(sizeof(packet));
}

KeeperPacket KeeperLink::counted(KeeperMessage type) const {
  KeeperPacket packet = packet_of(type);
  const Server* server = engine_.server();
  if (server == nullptr) return packet;
  for (const auto& n : server->counters().requests) packet.requests += n;
  packet.resent = server->counters().resent;
  return packet;
}

void KeeperLink::beat() {
  KeeperPacket packet = counted(KeeperMessage::kBeat);
  // Serving means that somebody waits for the next request, or that requests are being answered.
  packet.serving = engine_.serving() || packet.requests != last_requests_ ? 1 : 0;
  last_requests_ = packet.requests;
  send(packet);
}

bool KeeperLink::obey(KeeperMessage message) {
  if (message == KeeperMessage::kActivate) {
    auto active = engine_.activate();
    if (active) {
      KeeperPacket packet = packet_of(KeeperMessage::kServing);
      engine_.state_ignored().copy(packet.why, sizeof(packet.why) - 1);
      send(packet);
      on_serving_();
      return true;
    }
    const std::string why = active.error().path + ": " + std::strerror(active.error().code);
    KeeperPacket packet = packet_of(KeeperMessage::kFailed);
    why.copy(packet.why, sizeof(packet.why) - 1);
    send(packet);
    on_end_(why);
    return false;
  }
  if (message == KeeperMessage::kDrain) {
    static_cast<void>(engine_.stop(false));
    send(counted(KeeperMessage::kDrained));
    on_end_(kDrainedReason);
    return false;
  }
  // Unmounting is the daemon's: it knows how to name whoever keeps the mount busy. Until it stops
  // us, requests are answered and beats go out as ever.
  if (message == KeeperMessage::kStop) on_end_(kStopReason);
  return true;
}

void KeeperLink::run() {
  for (;;) {
    pollfd fds[] = {{control_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (::poll(fds, 2, kBeatMs) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    if (fds[0].revents != 0) {
      KeeperPacket packet;
      const ssize_t n = ::recv(control_.get(), &packet, sizeof(packet), MSG_DONTWAIT);
      // A keeper that is gone does not stop us: its descriptors are ours too, and readers wait.
      // One that only stands by has nothing to wait for.
      if (n == 0) return on_end_(engine_.server() == nullptr ? "the keeper ended" : kAloneReason);
      if (n >= static_cast<ssize_t>(kShortestPacket) &&
          !obey(static_cast<KeeperMessage>(packet.type))) {
        return;
      }
    }
    beat();
  }
}

}  // namespace vprocfs
