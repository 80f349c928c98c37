// Where calls come from: sockets, LXC's monitors, runtimes and notify descriptors, also those that
// an earlier worker had.

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/affix.h"
#include "base/unix_socket.h"
#include "seccomp/agent.h"

namespace vprocfs {
namespace {

/// Connections of runtimes. Beyond this number the oldest is dropped, and a container whose
/// connection is dropped has no listener: so it is more than there are containers that start at
/// once.
constexpr size_t kMaxRuntimes = 1024;

constexpr int kAcceptAtOnce = 16;

/// The first and the longest pause before it is tried again to listen where somebody else listens.
constexpr uint64_t kListenAgainUs = 250'000, kMaxListenAgainUs = 2'000'000;

}  // namespace

/// Opens the memory of pending calls that is in the store, or makes it.
Result<bool> Agent::open_pending_calls(const std::vector<FdStore::Entry>& stored) {
  bool found = false;
  for (const FdStore::Entry& one : stored) {
    if (one.tag.kind != Kind::kPendingCalls) continue;
    const int fd = one.fd.get();
    const bool is_usable = !found && pending_.open(fd) && writers_.start(fd);
    found = found || is_usable;
    // One of another version is of no use any more.
    if (!is_usable) fd_store_->remove(one.tag.key);
  }
  if (found) return true;
  const auto made = PendingCalls::make();
  if (!made) return made.error();
  const int fd = made.value().get();
  if (!pending_.open(fd) || !writers_.start(fd)) return Error{errno, "memfd"};
  if (fd_store_ != nullptr) fd_store_->put({new_key(), Kind::kPendingCalls}, fd);
  return true;
}

Result<bool> Agent::adopt_all(std::vector<FdStore::Entry> stored) {
  for (const FdStore::Entry& one : stored) last_key_ = std::max(last_key_, one.tag.key);
  auto opened = open_pending_calls(stored);
  if (!opened) return opened;
  for (FdStore::Entry& one : stored) {
    const auto kind = one.tag.kind;
    // Keepers of earlier versions store a connection beside the listener that it became.
    const bool became_listener =
        kind == Kind::kRuntime &&
        std::any_of(stored.begin(), stored.end(), [&one](const auto& other) {
          return other.tag.key == one.tag.key && other.tag.kind != one.tag.kind;
        });
    if (became_listener) continue;
    const UnixAddress bound = UnixAddress::of(one.fd.get());
    if (is_socket(kind) && !starts_with(bound.path(), options_.directory + "/")) {
      // The configuration had another directory.
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
  adopt_passed_through();
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
  if (listening) return stop_awaiting_place();
  await_place();
  // Most often the vprocfs that this one replaces listens there.
  listen_wait_us_ = std::min(std::max(2 * listen_wait_us_, kListenAgainUs), kMaxListenAgainUs);
  arm(listen_timer_, boottime_us() + listen_wait_us_);
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
    case Kind::kMetricsSocket:
    case Kind::kNone:
      break;
  }
  return false;
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
  // The clock makes it larger than any key of an earlier worker.
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
  // LXC's monitor takes the calls of a side listener. We wait only for its end.
  const uint32_t events = kind == Kind::kSideListener ? 0u : EPOLLIN;
  if (!epoll_.add(source->fd.get(), key, events | EPOLLONESHOT)) remove(*source);
  return key;
}

/// Replaces a runtime's connection by its listener, under the same key, in the keeper's store too.
/// So at no moment are both there, and two threads wait for the same calls, nor is neither.
void Agent::become_listener(const Source& runtime, Fd listener) {
  // The runtime may send more, and would fail if nobody read it.
  Fd draining(::fcntl(runtime.fd.get(), F_DUPFD_CLOEXEC, 0));
  epoll_.remove(runtime.fd.get());
  add(Kind::kListener, std::move(listener), runtime.key, false);
  if (draining) add(Kind::kDrainingRuntime, std::move(draining), 0, false);
}

void Agent::remove(const Source& source) {
  const std::lock_guard lock(mutex_);
  const auto found = sources_.find(source.key);
  // The key may be that of another source by now; see become_listener().
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
  if (kind == Kind::kRuntime) drop_oldest_runtimes();
  rearm(source.key, source.fd.get());
}

void Agent::drop_oldest_runtimes() {
  std::vector<SourcePtr> runtimes;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, source] : sources_) {
      if (is_runtime(source->kind)) runtimes.push_back(source);
    }
  }
  std::sort(runtimes.begin(), runtimes.end(),
            [](const SourcePtr& a, const SourcePtr& b) { return a->key > b->key; });
  for (size_t i = kMaxRuntimes; i < runtimes.size(); ++i) remove(*runtimes[i]);
}

}  // namespace vprocfs
