#include "engine/keeper_link.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/priority.h"

namespace vprocfs {
namespace {

constexpr int kBeatMs = 500;
/// So many more beats follow the last request, or the start, before they become rarer.
constexpr int kLastBeats = 4;
/// Beats count requests too: nobody who asks for the count waits longer.
constexpr uint64_t kLongestBeatMs = 2000;
constexpr uint64_t kLongestIdleMs = 60000;
/// How long the keeper is not told that we serve at most, for JavaScript to do first what others
/// may rely on then; and no longer than the beats of a keeper with little patience are apart.
constexpr int kBeforeServingMs = 500;
/// How long a keeper that does not say whether it stores descriptors may take to show it.
constexpr uint64_t kFdStoreMs = 5000;

/// How long the end of what we hold is awaited at a drain: notices may take a second of it.
constexpr int kDrainMs = 1500;

/// How often a worker without a keeper looks whether threads are missing.
constexpr int kAloneBeatMs = 5000;

// A reason that is not the end of anything gone wrong; known to the daemon.
constexpr char kDrainedReason[] = "drained";
constexpr char kStopReason[] = "stop";
constexpr char kAloneReason[] = "alone";

bool comes_within(const Wake& wake, int within_ms) {
  const uint64_t until = monotonic_us() / 1000 + static_cast<uint64_t>(within_ms);
  for (;;) {
    const uint64_t now = monotonic_us() / 1000;
    pollfd fds[] = {{wake.fd(), POLLIN, 0}};
    const int n = ::poll(fds, 1, now < until ? static_cast<int>(until - now) : 0);
    if (n > 0) return true;
    if (now >= until) return false;
  }
}

KeeperPacket packet_of(KeeperMessage type) {
  KeeperPacket packet;
  packet.type = static_cast<uint32_t>(type);
  return packet;
}

}  // namespace

KeeperLink::KeeperLink(Fd control, Engine& engine, OnServing on_serving, OnEnd on_end)
    : control_(std::move(control)),
      wake_(Wake::open()),
      engine_(engine),
      on_serving_(std::move(on_serving)),
      on_end_(std::move(on_end)) {}

Result<bool> KeeperLink::start() {
  return thread_.start([this] {
    KeeperPacket ready = packet_of(KeeperMessage::kReady);
    ready.requests = static_cast<uint64_t>(::gettid());
    send(ready);
    run();
  });
}

void KeeperLink::stop() {
  if (!thread_.joinable()) return;
  if (!wake_.ring()) return;
  thread_.join();
}

bool KeeperLink::send(KeeperPacket packet) const {
  return ::send(control_.get(), &packet, sizeof(packet), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(sizeof(packet));
}

KeeperPacket KeeperLink::counted(KeeperMessage type) const {
  KeeperPacket packet = packet_of(type);
  engine_.for_each_server([&packet](const Server& server) {
    for (const auto& n : server.counters().requests) packet.requests += n;
    packet.resent += server.counters().resent;
  });
  return packet;
}

void KeeperLink::beat() {
  KeeperPacket packet = counted(KeeperMessage::kBeat);
  // Serving means that somebody waits for the next request, or that requests are being answered.
  const bool asked = packet.requests != last_requests_;
  packet.serving = engine_.serving() || asked ? 1 : 0;
  last_requests_ = packet.requests;
  quiet_beats_ = asked ? 0 : std::min(quiet_beats_ + 1, kLastBeats);
  const bool well = packet.serving == 1 || !engine_.active();
  if (well && is_idle()) packet.type = static_cast<uint32_t>(KeeperMessage::kIdleBeat);
  send(packet);
  engine_.reinforce();
}

bool KeeperLink::is_idle() const { return quiet_beats_ == kLastBeats && idle_ms_ > 0; }

/// It may want to hear soon whether we are well: beats are rare again only after a while.
void KeeperLink::keep_pace(const KeeperPacket& pace) {
  quiet_beat_ms_ = static_cast<int>(std::min(pace.requests, kLongestBeatMs));
  idle_ms_ = static_cast<int>(std::min(pace.lost, kLongestIdleMs));
  quiet_beats_ = 0;
}

int KeeperLink::beat_ms() const {
  if (is_idle()) return idle_ms_;
  return quiet_beats_ < kLastBeats ? kBeatMs : std::max(kBeatMs, quiet_beat_ms_);
}

/// Readers have their answers meanwhile.
void KeeperLink::tell_serving() const {
  const auto done = std::make_shared<Wake>(Wake::open());
  on_serving_(done);
  pollfd fds[] = {{done->fd(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}};
  const int most =
      quiet_beat_ms_ > 0 ? std::min(quiet_beat_ms_, kBeforeServingMs) : kBeforeServingMs;
  while (*done && ::poll(fds, 2, most) < 0 && errno == EINTR) {
  }
}

/// Stops the engine, and says so. A container may keep one of our threads for as long as it likes.
/// Where the kernel asks the next worker what we leave unanswered, readers need not wait for that:
/// the keeper kills us then, after which all goes on as after any kill.
void KeeperLink::drain() {
  const auto waiting = is_followed_ ? Engine::Waiting::kLeft : Engine::Waiting::kAnswered;
  const auto stop = [this, waiting] { static_cast<void>(engine_.stop(false, waiting)); };
  const Wake done = Wake::open();
  Thread stopping;
  const bool is_apart = engine_.resends() && done && stopping.start([&stop, &done] {
    go_first();
    stop();
    done.ring();
  });
  if (!is_apart) stop();
  const bool is_kept = is_apart && !comes_within(done, kDrainMs);
  KeeperPacket packet = counted(KeeperMessage::kDrained);
  packet.serving = is_kept ? 1 : 0;
  send(packet);
  // A keeper of an earlier version does not kill us.
  if (is_kept) ::_exit(0);
  stopping.join();
}

bool KeeperLink::obey(KeeperMessage message) {
  // From here to the answer readers wait.
  if (message == KeeperMessage::kActivate || message == KeeperMessage::kDrain) go_first();
  if (message == KeeperMessage::kActivate) {
    auto active = engine_.activate(this);
    if (active) {
      tell_serving();
      KeeperPacket packet = packet_of(KeeperMessage::kServing);
      packet.serving = engine_.connections();
      engine_.state_ignored().copy(packet.why, sizeof(packet.why) - 1);
      packet.lost = lost_;
      send(packet);
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
    drain();
    on_end_(kDrainedReason);
    return false;
  }
  // Unmounting is the daemon's: it knows how to name whoever keeps the mount busy. Until it stops
  // us, requests are answered and beats go out as ever.
  if (message == KeeperMessage::kStop) on_end_(kStopReason);
  return true;
}

bool KeeperLink::put(FdTag tag, int fd) {
  const KeeperPacket packet =
      fd_packet(KeeperMessage::kStoreFd, static_cast<uint32_t>(tag.kind), tag.key);
  return send_with(control_.get(), &packet, sizeof(packet), &fd, 1, 0) ==
         static_cast<ssize_t>(sizeof(packet));
}

void KeeperLink::remove(uint64_t key) { send(fd_packet(KeeperMessage::kRemoveFd, 0, key)); }

Result<bool> KeeperLink::has_message(uint64_t until_ms) const {
  for (;;) {
    const uint64_t now = monotonic_us() / 1000;
    if (until_ms != 0 && now >= until_ms) return false;
    pollfd fds[] = {{control_.get(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}};
    const int n = ::poll(fds, 2, until_ms == 0 ? -1 : static_cast<int>(until_ms - now));
    if (n < 0 && errno != EINTR) return Error{errno, "the keeper"};
    if (n > 0 && fds[1].revents != 0) return Error{ECANCELED, "the keeper"};
    if (n > 0) return true;
  }
}

Result<bool> KeeperLink::take_some(uint64_t from, std::vector<Entry>& out, uint64_t& next) {
  if (!send(fd_packet(KeeperMessage::kListFds, 0, from))) return false;
  // One that stores them answers, or ends, or ends us: to go on without what it keeps would leave
  // callers in containers waiting for ever.
  const bool sure = answers_ || from != 0;
  const uint64_t until_ms = sure ? 0 : monotonic_us() / 1000 + kFdStoreMs;
  for (;;) {
    auto heard = has_message(until_ms);
    if (!heard || !heard.value()) return heard;
    StoredFdsPacket packet;
    PassedFds passed;
    const ssize_t n = receive_with(control_.get(), &packet, sizeof(packet), passed,
                                   StoredFdsPacket::kMaxFds, MSG_DONTWAIT);
    // ECONNRESET: it ended without having read all, which is told once.
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ECONNRESET)) continue;
    // What has come so far is not all, and another worker gets all.
    if (n < 0 && sure) return Error{errno, "the keeper"};
    if (n < static_cast<ssize_t>(kShortestPacket)) return false;
    if (packet.type != static_cast<uint32_t>(KeeperMessage::kStoredFds)) {
      deferred_messages_.push_back(static_cast<KeeperMessage>(packet.type));
      continue;
    }
    const size_t count = std::min<size_t>(passed.count, packet.count);
    // More than this process may have open: the kernel leaves the rest out.
    lost_ += packet.count - count;
    // Without any that is free nothing could be answered, to nobody.
    const int first_reserved = first_reserved_descriptor();
    for (size_t i = 0; i < count; ++i) {
      if (passed.fds[i].get() >= first_reserved) {
        ++lost_;
        continue;
      }
      out.push_back({{packet.tags[i].key, static_cast<FdKind>(packet.tags[i].kind)},
                     std::move(passed.fds[i])});
    }
    next = packet.next;
    return true;
  }
}

Result<std::vector<FdStore::Entry>> KeeperLink::all() {
  std::vector<Entry> out;
  uint64_t next = 0;
  do {
    auto some = take_some(next, out, next);
    if (!some) return some.error();
    if (!some.value()) break;
  } while (next != 0);
  return out;
}

void KeeperLink::run() {
  bool is_alone = false;
  for (;;) {
    while (!deferred_messages_.empty()) {
      const KeeperMessage message = deferred_messages_.front();
      deferred_messages_.erase(deferred_messages_.begin());
      if (!obey(message)) return;
    }
    pollfd fds[] = {{is_alone ? -1 : control_.get(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}};
    if (::poll(fds, 2, beat_ms()) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    if (fds[0].revents != 0) {
      KeeperPacket packet;
      const ssize_t n = ::recv(control_.get(), &packet, sizeof(packet), MSG_DONTWAIT);
      // A keeper that is gone does not stop us: its descriptors are ours too, and readers wait.
      // One that only stands by has nothing to wait for.
      if (n == 0 && !engine_.active()) return on_end_("the keeper ended");
      if (n == 0) {
        // Nobody hears our beats any more, but threads that end or are missing are replaced.
        is_alone = true;
        idle_ms_ = 0;
        quiet_beat_ms_ = kAloneBeatMs;
        on_end_(kAloneReason);
      }
      const auto message = static_cast<KeeperMessage>(packet.type);
      if (message == KeeperMessage::kActivate) {
        answers_ = packet.serving == 1;
        quiet_beats_ = 0;
      } else if (message == KeeperMessage::kDrain) {
        is_followed_ = packet.serving == 1;
      } else if (message == KeeperMessage::kPace) {
        keep_pace(packet);
      } else if (message == KeeperMessage::kStop) {
        idle_ms_ = 0;
      }
      if (n >= static_cast<ssize_t>(kShortestPacket) && !obey(message)) return;
    }
    beat();
  }
}

}  // namespace vprocfs
