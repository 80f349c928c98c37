#include "fuse/files/triggers.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/priority.h"

namespace vprocfs {
namespace {

constexpr uint64_t kWake = UINT64_MAX;  // no handle is that
/// How long a tenant may wait for its own triggers to be taken away.
constexpr std::chrono::seconds kLongestWait{2};

constexpr size_t kMaxText = 32;  // psi_write() takes no more

/// A trigger as it lies in the state file.
struct Packed {
  uint64_t poll_handle;
  uint32_t event, size;
  char text[kMaxText];
};
static_assert(std::is_trivially_copyable_v<Packed>);

Packed packed_at(StateFile& state, RecordIndex record) {
  Packed packed{};
  std::memcpy(&packed, state.data(record), sizeof(packed));
  return packed;
}

}  // namespace

Triggers::Triggers(const Reply& reply, StateFile& state, Notifier& notifier)
    : reply_(reply),
      state_(state),
      notifier_(notifier),
      epoll_(Epoll::open()),
      wake_(Wake::open()) {
  epoll_.add(wake_.fd(), kWake, EPOLLIN);
}

Result<bool> Triggers::start() {
  auto started = closers_.start();
  if (started) started = thread_.start([this] { run(); });
  return started;
}

void Triggers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.ring();
  thread_.join();
}

void Triggers::forget_locked(const Trigger& trigger) {
  // A poll may have saved it also before it was armed.
  state_.release(trigger.record, RecordType::kTrigger, trigger.handle);
  triggers_.erase(trigger.handle);
}

int Triggers::reserve(Trigger& trigger) {
  Tenant& tenant = trigger.file->container->tenant();
  std::unique_lock lock(mutex_);
  given_back_.wait_for(lock, kLongestWait, [&] {
    return trigger.released || !tenant.resources().spent(Resource::kTriggers) ||
           tenant.closing_triggers == 0;
  });
  // Its writer was killed and is told nothing; nobody would take it away again.
  if (trigger.released) return EINTR;
  trigger.counted = tenant.resources().take(Resource::kTriggers);
  if (trigger.counted) return 0;
  forget_locked(trigger);
  return ENOSPC;
}

void Triggers::give_back(Tenant& tenant, bool closing) {
  {
    const std::lock_guard lock(mutex_);
    tenant.resources().give(Resource::kTriggers);
    if (closing) --tenant.closing_triggers;
  }
  given_back_.notify_all();
}

int Triggers::set(const TriggerPtr& trigger) {
  auto fd = trigger->file->container->open_trigger(*trigger->file->view);
  if (!fd) return fd.error().code;
  ssize_t n;
  do {
    n = ::write(fd.value().get(), trigger->text.data(), trigger->text.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) return errno;
  // Edge-triggered: what can happen no more would else be told without end.
  if (!epoll_.add(fd.value().get(), trigger->handle, EPOLLPRI | EPOLLET)) return errno;
  const std::lock_guard lock(mutex_);
  // Closed meanwhile: it goes with `fd`, after the lock.
  if (!trigger->released) trigger->fd = std::move(fd.value());
  return 0;
}

void Triggers::save(Trigger& trigger) {
  Packed packed{};
  packed.poll_handle = trigger.poll_handle;
  packed.event = trigger.event ? 1 : 0;
  packed.size = static_cast<uint32_t>(trigger.text.size());
  std::memcpy(packed.text, trigger.text.data(), trigger.text.size());
  const std::string bytes(reinterpret_cast<const char*>(&packed), sizeof(packed));
  trigger.record = state_.replace(trigger.record, RecordType::kTrigger, trigger.handle, bytes);
}

int Triggers::arm(uint64_t handle, const std::shared_ptr<OpenFile>& file, std::string_view text,
                  bool resent) {
  take_over(handle);
  auto trigger = std::make_shared<Trigger>();
  trigger->handle = handle;
  trigger->file = file;
  trigger->text = text.substr(0, kMaxText);
  // Known before it can happen, and before its file can be closed.
  {
    const std::lock_guard lock(mutex_);
    const auto [at, is_new] = triggers_.try_emplace(handle, trigger);
    const Trigger& known = *at->second;
    if (!is_new) return resent && known.adopted && known.text == trigger->text ? 0 : EBUSY;
  }
  if (const int refused = reserve(*trigger); refused != 0) return refused;
  const int error = set(trigger);
  if (error == 0) {
    const std::lock_guard lock(mutex_);
    if (!trigger->released) save(*trigger);
    return 0;
  }
  {
    const std::lock_guard lock(mutex_);
    if (trigger->released) return error;  // and given back by that
    forget_locked(*trigger);
  }
  give_back(file->container->tenant(), false);
  return error;
}

auto Triggers::find_locked(uint64_t handle, NodeId node) -> decltype(triggers_)::iterator {
  const auto it = triggers_.find(handle);
  const bool same = it != triggers_.end() && it->second->file->node.raw() == node.raw();
  return same ? it : triggers_.end();
}

uint32_t Triggers::poll(uint64_t handle, NodeId node, uint64_t poll_handle, bool resent) {
  take_over(handle);
  const std::lock_guard lock(mutex_);
  const auto it = find_locked(handle, node);
  if (it == triggers_.end()) return POLLERR | POLLPRI;
  Trigger& trigger = *it->second;
  const bool happened = std::exchange(trigger.event, false);
  if (happened || trigger.poll_handle != poll_handle) {
    trigger.poll_handle = poll_handle;
    save(trigger);
  }
  if (trigger.failed) return POLLERR | POLLPRI;
  return happened || (resent && trigger.adopted) ? POLLPRI : 0;
}

void Triggers::release(uint64_t handle, NodeId node) {
  TriggerPtr gone;
  {
    const std::lock_guard lock(mutex_);
    const auto left = left_.find(handle);
    if (left != left_.end() && left->second.node.raw() == node.raw()) {
      state_.release(left->second.record, RecordType::kTrigger, handle);
      left_.erase(left);
      has_left_ = !left_.empty();
      return;
    }
    const auto it = find_locked(handle, node);
    if (it == triggers_.end()) return;
    gone = it->second;
    gone->released = true;
    forget_locked(*gone);
    if (gone->counted) ++gone->file->container->tenant().closing_triggers;
  }
  if (!gone->counted) return given_back_.notify_all();
  // The kernel waits for a grace period with each; many at once wait for the same. Nothing that is
  // kept for the next worker, as the text of the open file is: that may serve already.
  auto fd = std::make_shared<Fd>(std::move(gone->fd));
  closers_.post(boottime_us(),
                [this, fd = std::move(fd), container = gone->file->container](CpuLaps& laps) {
                  laps.skip();
                  fd->reset();
                  give_back(container->tenant(), true);
                });
}

void Triggers::adopt(OpenFiles& files) {
  files_ = &files;
  const std::lock_guard lock(mutex_);
  state_.for_each(RecordType::kTrigger, [&](RecordIndex record, uint64_t handle, size_t bytes) {
    const auto packed = bytes == sizeof(Packed) ? packed_at(state_, record) : Packed();
    const auto node = files.left_node(handle);
    const bool good = node && bytes == sizeof(Packed) && packed.size <= kMaxText;
    // A crash while saving leaves two.
    if (good && left_.try_emplace(handle, Left{record, *node}).second) return;
    state_.release(record, RecordType::kTrigger, handle);
    // Whoever waits asks again, and is told that there is no trigger where there is none.
    if (packed.poll_handle != 0) reply_.notify_poll(packed.poll_handle);
  });
  has_left_ = !left_.empty();
}

void Triggers::take_over(uint64_t handle) {
  if (!has_left_) return;
  Left left;
  {
    const std::lock_guard lock(mutex_);
    const auto at = left_.find(handle);
    if (at == left_.end()) return;
    left = at->second;
  }
  const auto file = files_->find(handle, left.node);
  const std::lock_guard lock(mutex_);
  // Another thread may have been first, or the file been closed.
  if (left_.erase(handle) == 0) return;
  has_left_ = !left_.empty();
  const Packed packed = packed_at(state_, left.record);
  if (!file) {
    state_.release(left.record, RecordType::kTrigger, handle);
    return;
  }
  auto trigger = std::make_shared<Trigger>();
  trigger->handle = handle;
  trigger->file = file;
  trigger->text.assign(packed.text, packed.size);
  trigger->poll_handle = packed.poll_handle;
  trigger->event = packed.event != 0;
  trigger->record = left.record;
  trigger->counted = true;
  trigger->adopted = true;
  file->container->tenant().resources().note(Resource::kTriggers, 1);
  triggers_[handle] = trigger;
  adopted_.push_back(std::move(trigger));
  wake_.ring();
}

void Triggers::adopt_rest(const OpenFiles::IsFound& is_found) {
  std::vector<std::pair<uint64_t, ContainerId>> left;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [handle, one] : left_) left.emplace_back(handle, one.node.container());
  }
  for (const auto& [handle, container] : left) {
    if (is_found(container)) take_over(handle);
  }
}

void Triggers::set_again(const TriggerPtr& trigger) {
  const int error = set(trigger);
  uint64_t poll_handle = 0;
  {
    const std::lock_guard lock(mutex_);
    trigger->failed = error != 0;
    // Whoever waits has to look again where something is to be told.
    if (trigger->failed || trigger->event) poll_handle = trigger->poll_handle;
  }
  if (poll_handle != 0) reply_.notify_poll(poll_handle);
}

void Triggers::happened(uint64_t handle, uint32_t events) {
  uint64_t poll_handle = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto it = triggers_.find(handle);
    if (it == triggers_.end()) return;
    Trigger& trigger = *it->second;
    if ((events & EPOLLERR) != 0) {
      trigger.failed = true;  // its cgroup is gone
    } else {
      trigger.event = true;
    }
    save(trigger);
    poll_handle = trigger.poll_handle;
  }
  if (poll_handle != 0) reply_.notify_poll(poll_handle);
}

void Triggers::run() {
  go_first();
  epoll_event events[64];
  for (;;) {
    const int n = epoll_.wait(events);
    if (n < 0 && errno != EINTR) return;
    for (int i = 0; i < n; ++i) {
      if (events[i].data.u64 == kWake) {
        wake_.drain();
        std::vector<TriggerPtr> adopted;
        {
          const std::lock_guard lock(mutex_);
          if (stopping_) return;
          adopted.swap(adopted_);
        }
        // Its container's sources may block, and others have triggers too.
        for (const TriggerPtr& trigger : adopted) {
          notifier_.post(trigger->file->container->tenant().id().packed(),
                         [this, trigger] { set_again(trigger); });
        }
        continue;
      }
      happened(events[i].data.u64, events[i].events);
    }
  }
}

size_t Triggers::size() const {
  const std::lock_guard lock(mutex_);
  return triggers_.size() + left_.size();
}

}  // namespace vprocfs
