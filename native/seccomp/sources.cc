// Where calls come from: sockets, LXC's monitors, runtimes and notify descriptors; those of workers
// before us too.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "base/affix.h"
#include "base/lock_file.h"
#include "base/unix_socket.h"
#include "seccomp/agent.h"

namespace vprocfs {
namespace {

/// Runtimes that have connected and say nothing, or no end: beyond these the oldest is dropped.
/// More than start containers at once, of which each that is dropped would have no listener.
constexpr size_t kMaxRuntimes = 1024;

constexpr int kAcceptAtOnce = 16;

/// How soon, and how often at least, it is tried again to listen where somebody else does.
constexpr uint64_t kListenAgainUs = 250'000, kMaxListenAgainUs = 2'000'000;

}  // namespace

Result<bool> Agent::adopt_all(std::vector<FdStore::Entry> stored) {
  bool has_pending = false;
  for (FdStore::Entry& one : stored) {
    last_key_ = std::max(last_key_, one.tag.key);
    const auto kind = one.tag.kind;
    if (kind == Kind::kPendingCalls) {
      const bool ours = !has_pending && pending_.open(one.fd.get()) && writers_.start(one.fd.get());
      // One of another version is of no use any more.
      if (!ours) fd_store_->remove(one.tag.key);
      has_pending = has_pending || ours;
    }
  }
  if (!has_pending) {
    auto made = PendingCalls::make();
    if (!made) return made.error();
    if (!pending_.open(made.value().get()) || !writers_.start(made.value().get())) {
      return Error{errno, "memfd"};
    }
    if (fd_store_ != nullptr) {
      fd_store_->put({new_key(), Kind::kPendingCalls}, made.value().get());
    }
  }
  for (FdStore::Entry& one : stored) {
    const auto kind = one.tag.kind;
    // Keepers of earlier versions keep both.
    const bool became_listener =
        kind == Kind::kRuntime &&
        std::any_of(stored.begin(), stored.end(), [&one](const auto& other) {
          return other.tag.key == one.tag.key && other.tag.kind != one.tag.kind;
        });
    if (became_listener) continue;
    // One of another configuration is of no use any more.
    const UnixAddress bound = UnixAddress::of(one.fd.get());
    if (is_socket(kind) && !starts_with(bound.path(), options_.directory + "/")) {
      unlink_bound(one.fd.get());
      fd_store_->remove(one.tag.key);
    } else if (is_source(kind)) {
      add(kind, std::move(one.fd), one.tag.key, true);
    }
  }
  try_to_listen();
  return true;
}

void Agent::try_to_listen() {
  adopt_rest();
  auto listening = listen(Kind::kLxcSocket, "lxc.sock", SOCK_SEQPACKET);
  if (listening) listening = listen(Kind::kOciSocket, "oci.sock", SOCK_STREAM);
  std::string problem = listening ? std::string() : problem_of(listening.error());
  bool is_new = false;
  {
    const std::lock_guard lock(mutex_);
    is_new = problem != listen_problem_;
    listen_problem_ = std::move(problem);
  }
  if (is_new && options_.on_listen_problem) options_.on_listen_problem();
  if (listening) return await_no_place();
  await_place();
  // Another vprocfs, mostly, in whose place this one starts.
  listen_wait_us_ = std::min(std::max(2 * listen_wait_us_, kListenAgainUs), kMaxListenAgainUs);
  arm(listen_timer_, boottime_us() + listen_wait_us_);
}

void Agent::await_place() {
  constexpr int kTries = 20;
  constexpr timespec kMoment{0, 1'000'000};
  // Each time: another one that waited has removed the file when it got the place.
  const std::string path = options_.directory + "/" + kAwaitedName;
  Fd file = lock_file(path.c_str(), O_RDONLY | O_CREAT, LOCK_SH);
  // Who has it for himself, removes it.
  for (int i = 0; i < kTries && !file && errno == EWOULDBLOCK; ++i) {
    ::nanosleep(&kMoment, nullptr);
    file = lock_file(path.c_str(), O_RDONLY | O_CREAT, LOCK_SH);
  }
  if (file) awaited_ = std::move(file);
}

void Agent::await_no_place() {
  if (!awaited_) return;
  awaited_.reset();
  const std::string path = options_.directory + "/" + kAwaitedName;
  // Whoever else waits holds it too.
  if (const Fd alone = lock_file(path.c_str(), O_RDONLY, LOCK_EX)) ::unlink(path.c_str());
}

std::string Agent::listen_problem() const {
  const std::lock_guard lock(mutex_);
  return listen_problem_;
}

bool Agent::is_source(Kind kind) {
  switch (kind) {
    case Kind::kLxcSocket:
    case Kind::kOciSocket:
    case Kind::kMonitor:
    case Kind::kListener:
    case Kind::kRuntime:
    case Kind::kDrainingRuntime:
    case Kind::kSideListener:
      return true;
    case Kind::kPendingCalls:
    case Kind::kNone:
      break;
  }
  return false;
}

void Agent::adopt_rest() {
  constexpr int kRestMs = 1000;
  const auto address = UnixAddress::at(options_.directory + "/rest.sock");
  const Fd rest = unix_socket(SOCK_SEQPACKET | SOCK_NONBLOCK);
  if (!address || !address->connect(rest.get())) return;
  pollfd p{rest.get(), POLLIN, 0};
  while (::poll(&p, 1, kRestMs) > 0) {
    uint32_t kinds[kPassthroughFds];
    Received got = receive(rest.get(), kinds, sizeof kinds, false);
    if (got.state != Received::State::kSome) return;
    const size_t count = std::min(got.fds.size(), got.bytes / sizeof(kinds[0]));
    for (size_t i = 0; i < count; ++i) {
      const auto kind = static_cast<Kind>(kinds[i]);
      if (is_source(kind)) add(kind, std::move(got.fds[i]), 0, false);
    }
  }
}

Result<bool> Agent::listen(Kind kind, const char* name, int type) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, source] : sources_) {
      if (source->kind == kind) return true;
    }
  }
  auto fd = listen_at(options_.directory + "/" + name, type);
  if (!fd) return fd.error();
  add(kind, std::move(fd.value()), 0, false);
  return true;
}

uint64_t Agent::new_key() {
  // The clock sets them apart from those of workers before us.
  last_key_ = std::max(last_key_ + 1, boottime_us() << 8);
  return last_key_;
}

uint64_t Agent::add(Kind kind, Fd fd, uint64_t key, bool resumed) {
  SourcePtr source;
  {
    const std::lock_guard lock(mutex_);
    if (key == 0) key = new_key();
    source = std::make_shared<Source>(key, kind, std::move(fd), options_.calls_per_second, resumed);
    sources_[key] = source;
  }
  if (kind == Kind::kListener || kind == Kind::kMonitor) ++counters_.listeners;
  if (fd_store_ != nullptr && !resumed) {
    fd_store_->put({key, kind}, source->fd.get());
  }
  // What comes by a side listener is for LXC's monitor: only its end is of interest.
  const uint32_t events = kind == Kind::kSideListener ? 0u : EPOLLIN;
  if (!epoll_.add(source->fd.get(), key, events | EPOLLONESHOT)) remove(*source);
  return key;
}

/// In the place of the runtime's connection, with the keeper too: there is no moment with both, in
/// which two would wait for the same calls, nor with neither.
void Agent::become_listener(const Source& runtime, Fd listener) {
  // Of one that has more to say, and would fail if nobody took it.
  Fd rest(::fcntl(runtime.fd.get(), F_DUPFD_CLOEXEC, 0));
  epoll_.remove(runtime.fd.get());
  add(Kind::kListener, std::move(listener), runtime.key, false);
  if (rest) add(Kind::kDrainingRuntime, std::move(rest), 0, false);
}

void Agent::remove(const Source& source) {
  const std::lock_guard lock(mutex_);
  const auto found = sources_.find(source.key);
  // It may have become another one meanwhile.
  if (found == sources_.end() || found->second.get() != &source) return;
  epoll_.remove(source.fd.get());
  if (source.kind == Kind::kListener || source.kind == Kind::kMonitor) --counters_.listeners;
  if (fd_store_ != nullptr) fd_store_->remove(source.key);
  forget_blocked_locked(source.key);
  sources_.erase(found);
}

Agent::SourcePtr Agent::find(uint64_t key) const {
  const std::lock_guard lock(mutex_);
  const auto found = sources_.find(key);
  return found == sources_.end() ? nullptr : found->second;
}

void Agent::accept(const Source& source) {
  const Kind kind = source.kind == Kind::kLxcSocket ? Kind::kMonitor : Kind::kRuntime;
  for (int i = 0; i < kAcceptAtOnce; ++i) {
    Fd peer = accept_root(source.fd.get());
    if (peer) add(kind, std::move(peer), 0, false);
  }
  if (kind == Kind::kRuntime) {
    std::vector<SourcePtr> waiting;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [key, other] : sources_) {
        if (is_runtime(other->kind)) waiting.push_back(other);
      }
    }
    std::sort(waiting.begin(), waiting.end(),
              [](const SourcePtr& a, const SourcePtr& b) { return a->key > b->key; });
    for (size_t i = kMaxRuntimes; i < waiting.size(); ++i) remove(*waiting[i]);
  }
  rearm(source.key, source.fd.get());
}

}  // namespace vprocfs
