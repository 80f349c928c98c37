#include "fuse/served_connection.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "base/cached_stat.h"
#include "fuse/mount.h"

namespace vprocfs {
namespace {

constexpr int kInitDeadlineMs = 10000;

/// Where a path leads to.
CachedStat look(int directory, const std::string& path) {
  return cached_stat(directory, path.c_str(), 0);
}

}  // namespace

ServedConnection::~ServedConnection() = default;

Result<bool> ServedConnection::connect() {
  const ConnectionPlace& place = options_.place;
  if (!inherited()) {
    auto memory = StateFile::make_memfd();
    if (!memory) return memory.error();
    own_state_fd_ = std::move(memory.value());
  }
  auto state = StateFile::open(inherited() ? place.state_fd : own_state_fd_.get(), &state_ignored_);
  if (!state) return state.error();
  state_ = std::move(state.value());
  if (!inherited()) {
    auto fuse = mount_fuse(place.mountpoint, options_.type, options_.source, options_.server.tick);
    if (!fuse) return fuse.error();
    fuse_fd_ = std::move(fuse.value());
    device_ = look(AT_FDCWD, place.mountpoint).device;
    return true;
  }
  if (state_->connection().initialised != 1) return Error{EPROTO, "inherited connection"};
  // Somebody may have unmounted it, or mounted something over it, while containers still use it.
  device_ = place.device != 0 ? place.device : look(AT_FDCWD, place.mountpoint).device;
  if (has_resend()) {
    fuse_fd_ = Fd(::fcntl(place.fuse_fd, F_DUPFD_CLOEXEC, 3));
    if (!fuse_fd_) return Error{errno, "inherited FUSE descriptor"};
    return true;
  }
  // Without resend (before 6.9) requests that we took must fail when we die rather than wait for
  // ever: they do when the descriptor that they were read from closes, so it has to be ours alone.
  auto own = clone_fuse(place.fuse_fd, 0);
  if (!own) return own.error();
  fuse_fd_ = std::move(own.value());
  return true;
}

void ServedConnection::make_server(Registry& registry, HostSource& host, Tree tree) {
  reply_ = std::make_unique<Reply>(fuse_fd_.get());
  server_ =
      std::make_unique<Server>(*reply_, registry, host, *state_, std::move(tree), options_.server);
}

Result<bool> ServedConnection::start(Loop::OnEnd on_end) {
  server_->adopt_open_files();
  loop_ = std::make_unique<Loop>(
      fuse_fd_.get(), options_.max_threads, [this](const Request& r) { server_->handle(r); },
      std::move(on_end));
  // Before we take any: what is resent is then what others took, and nothing of ours.
  if (resends()) reply_->notify_resend();
  auto started = loop_->start();
  if (started) server_->adopt_rest();
  return started;
}

Result<bool> ServedConnection::wait_initialised() const {
  for (int i = 0; i < kInitDeadlineMs; ++i) {
    if (state_->connection().initialised == 1) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return Error{ETIMEDOUT, "FUSE INIT"};
}

void ServedConnection::expect_end() {
  if (loop_) loop_->expect_end();
}

bool ServedConnection::gone() const {
  pollfd p{fuse_fd_.get(), 0, 0};
  return inherited() && ::poll(&p, 1, 0) > 0 && (p.revents & POLLERR) != 0;
}

Result<bool> ServedConnection::unmount(bool& lazy) const {
  // The kernel gives its device to others. What is left of it the keeper unmounts.
  if (gone()) return true;
  // Not what somebody else has mounted over it.
  const uint64_t seen = look(AT_FDCWD, options_.place.mountpoint).device;
  if (device_ != 0 && seen != 0 && seen != device_) return true;
  return unmount_fuse(options_.place.mountpoint, lazy);
}

void ServedConnection::refuse_requests() {
  if (loop_) loop_->refuse();
}

void ServedConnection::stop_requests() {
  if (!loop_) return;
  loop_->stop();
  const std::lock_guard lock(loop_mutex_);
  loop_.reset();
}

void ServedConnection::close() {
  server_.reset();
  reply_.reset();
}

size_t ServedConnection::threads() const {
  const std::lock_guard lock(loop_mutex_);
  return loop_ ? loop_->threads() : 0;
}

void ServedConnection::reinforce() {
  const std::lock_guard lock(loop_mutex_);
  if (!loop_) return;
  loop_->reinforce();
  server_->reinforce();
}

std::string ServedConnection::place_for(int procfs_fd, uint32_t pid) const {
  if (gone()) return {};
  const CachedStat own = look(AT_FDCWD, "/");
  const CachedStat its = look(procfs_fd, std::to_string(pid) + "/root");
  if (own.device == 0 || own.device != its.device || own.inode != its.inode) return {};
  const CachedStat mounted = look(AT_FDCWD, options_.place.mountpoint);
  return mounted.device == device_ && device_ != 0 ? options_.place.mountpoint : std::string();
}

}  // namespace vprocfs
