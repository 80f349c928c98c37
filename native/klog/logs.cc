#include "klog/logs.h"

#include <cstring>
#include <utility>

#include "base/clock.h"

namespace vprocfs {
namespace {

// The state file's own header of a record.
constexpr size_t kStateHeader = 32;
constexpr size_t kFirstBytes = 8192;
constexpr uint64_t kMarkKey = 0;
/// How soon ended containers are looked for again that were looked for in vain.
constexpr uint64_t kLookUs = 1'000'000;

/// The beginning of a log's record, before the ring.
struct Prefix {
  uint64_t tenant_pid_namespace;  ///< of older workers: the name of the tenant, and 0
  uint64_t tenant_start_us;
};

}  // namespace

KernelLogs::KernelLogs(StateFile& state, IsThere is_there, LogBounds bounds)
    : state_(state), is_there_(std::move(is_there)), bounds_(bounds) {}

void KernelLogs::adopt() {
  const std::lock_guard lock(mutex_);
  state_.for_each(RecordType::kLog, [&](RecordIndex record, uint64_t key, size_t bytes) {
    const ContainerId id = ContainerId::from_packed(key);
    Log log;
    log.record = record;
    log.bytes = StateFile::room_for(bytes);
    if (bytes > sizeof(Prefix)) {
      Prefix prefix{};
      std::memcpy(&prefix, state_.data(record), sizeof prefix);
      log.tenant = {prefix.tenant_pid_namespace, prefix.tenant_start_us};
      log.ring =
          std::make_unique<LogRing>(state_.data(record) + sizeof prefix, bytes - sizeof prefix);
    }
    const auto known = logs_.find(id);
    // A worker that died while a log grew left two; the larger one is the later one.
    const bool better = known == logs_.end() || known->second.bytes < log.bytes;
    if (!log.ring || !log.ring->adopt() || !better) {
      state_.release(record, RecordType::kLog, key);
      return;
    }
    if (known != logs_.end()) drop_locked(known);
    bytes_ += log.bytes;
    of_tenants_[log.tenant].bytes += log.bytes;
    logs_[id] = std::move(log);
  });
  state_.for_each(RecordType::kLogMark, [&](RecordIndex record, uint64_t, size_t bytes) {
    if (bytes == sizeof(uint64_t)) mark_record_ = record;
  });
}

bool KernelLogs::tenant_has_room_locked(const TenantIdentity& tenant, size_t more) const {
  const auto of_tenant = of_tenants_.find(tenant);
  const size_t has = of_tenant == of_tenants_.end() ? 0 : of_tenant->second.bytes;
  return has + more <= bounds_.tenant;
}

bool KernelLogs::has_room_locked(const TenantIdentity& tenant, size_t more) const {
  return bytes_ + more <= bounds_.all && tenant_has_room_locked(tenant, more);
}

KernelLogs::Log KernelLogs::make_locked(const TenantIdentity& tenant, size_t bytes) {
  Log log;
  log.record = state_.allocate(RecordType::kLog, bytes - kStateHeader);
  if (log.record == 0) return log;
  log.bytes = bytes;
  charge_locked(log, tenant);
  uint8_t* memory = state_.data(log.record);
  log.ring =
      std::make_unique<LogRing>(memory + sizeof(Prefix), bytes - kStateHeader - sizeof(Prefix));
  log.ring->format();
  bytes_ += bytes;
  return log;
}

void KernelLogs::charge_locked(Log& log, const TenantIdentity& tenant) {
  log.tenant = tenant;
  of_tenants_[tenant].bytes += log.bytes;
  const Prefix prefix{tenant.pid_namespace, tenant.start_us};
  std::memcpy(state_.data(log.record), &prefix, sizeof prefix);
}

void KernelLogs::give_back_locked(const Log& log) {
  const auto tenant = of_tenants_.find(log.tenant);
  if ((tenant->second.bytes -= log.bytes) == 0) of_tenants_.erase(tenant);
}

void KernelLogs::publish_locked(ContainerId id, const Log& log) {
  state_.publish(log.record, RecordType::kLog, id.packed(), log.bytes - kStateHeader);
}

void KernelLogs::drop_locked(Map::iterator it) {
  const Log& log = it->second;
  state_.release(log.record, RecordType::kLog, it->first.packed());
  bytes_ -= log.bytes;
  give_back_locked(log);
  logs_.erase(it);
}

void KernelLogs::grow_locked(ContainerId id, Log& log) {
  const size_t bytes = log.bytes * 2;
  // While the log grows, the old one and the new one are there.
  if (bytes > bounds_.each || !has_room_locked(log.tenant, bytes)) return;
  // Logs that have grown leave room for new ones.
  const size_t grown = bytes_ - logs_.size() * kFirstBytes;
  if (grown + bytes > bounds_.all / 2) return;
  Log larger = make_locked(log.tenant, bytes);
  if (larger.record == 0) return;
  larger.ring->copy_from(*log.ring);
  publish_locked(id, larger);
  drop_locked(logs_.find(id));
  logs_[id] = std::move(larger);
}

uint64_t& KernelLogs::looked_us_locked(const TenantIdentity& tenant) {
  return tenant_has_room_locked(tenant, kFirstBytes) ? looked_us_ : of_tenants_[tenant].looked_us;
}

bool KernelLogs::make_room(const TenantIdentity& tenant) {
  {
    const std::lock_guard lock(mutex_);
    if (has_room_locked(tenant, kFirstBytes)) return true;
  }
  // Whoever comes while another one looks waits for the room that it may make.
  const std::lock_guard looking(looking_);
  std::unique_lock lock(mutex_);
  if (has_room_locked(tenant, kFirstBytes)) return true;
  if (boottime_us() >= looked_us_locked(tenant) + kLookUs) {
    // A tenant that has used up its own bound has only its own logs looked at, which are few.
    const bool is_own = !tenant_has_room_locked(tenant, kFirstBytes);
    lock.unlock();
    forget_ended(is_own ? &tenant : nullptr);
    lock.lock();
    if (has_room_locked(tenant, kFirstBytes)) return true;
    // Not for the bound of all, which it comes to where others take what it has made room for.
    const bool is_in_vain = is_own == !tenant_has_room_locked(tenant, kFirstBytes);
    if (is_in_vain) looked_us_locked(tenant) = boottime_us();
  }
  ++refused_;
  return false;
}

bool KernelLogs::begin(ContainerId id, const TenantIdentity& tenant, const Banner& banner) {
  const Begun begun = begin_unheard(id, tenant, banner);
  // Somebody may have begun to read when there was no room for it.
  if (begun == Begun::kNow) notify_listeners(id);
  return begun != Begun::kRefused;
}

KernelLogs::Begun KernelLogs::begin_unheard(ContainerId id, const TenantIdentity& tenant,
                                            const Banner& banner) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = logs_.find(id); it != logs_.end()) {
      // The container has started again in its cgroup. Of one that has not been found since a
      // takeover the tenant is not known.
      if (it->second.tenant != tenant && tenant.pid_namespace != 0) {
        give_back_locked(it->second);
        charge_locked(it->second, tenant);
      }
      return Begun::kEarlier;
    }
  }
  if (!make_room(tenant)) return Begun::kRefused;
  // Not under the lock: making the banner reads the container's cgroups.
  const std::vector<OwnLine> opening = banner();
  const std::lock_guard lock(mutex_);
  if (logs_.count(id) != 0) return Begun::kEarlier;
  Log made;
  if (has_room_locked(tenant, kFirstBytes)) made = make_locked(tenant, kFirstBytes);
  if (made.record == 0) {
    ++refused_;
    return Begun::kRefused;
  }
  for (const OwnLine& line : opening) {
    made.ring->append(line.time_us, line.priority, line.text, {});
  }
  publish_locked(id, made);
  logs_[id] = std::move(made);
  return Begun::kNow;
}

size_t KernelLogs::add(ContainerId id, const TenantIdentity& tenant, uint64_t first,
                       const std::vector<OwnLine>& lines, const Banner& banner) {
  if (lines.empty()) return 0;
  const Begun begun = begin_unheard(id, tenant, banner);
  if (begun == Begun::kRefused) return 0;
  size_t added = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto it = logs_.find(id);
    // Forgotten since begin(): the container has ended.
    if (it == logs_.end()) return 0;
    for (const OwnLine& line : lines) {
      const LogRing::HostPlace done = logs_[id].ring->host();
      const bool before = first + 1 < done.group;
      if (before || (first + 1 == done.group && line.host_sequence + 1 <= done.record)) continue;
      if (!logs_[id].ring->has_room()) grow_locked(id, logs_[id]);
      logs_[id].ring->append(line.time_us, line.priority, line.text,
                             {first + 1, line.host_sequence + 1});
      ++added;
    }
  }
  if (added != 0 || begun == Begun::kNow) notify_listeners(id);
  return added;
}

bool KernelLogs::write(ContainerId id, const OwnLine& line) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = logs_.find(id);
    if (it == logs_.end()) return false;
    if (!it->second.ring->has_room()) grow_locked(id, it->second);
    LogRing& ring = *logs_[id].ring;
    // The place in the host's log stays as it is.
    ring.append(line.time_us, line.priority, line.text, ring.host());
  }
  notify_listeners(id);
  return true;
}

bool KernelLogs::read(ContainerId id, uint64_t from, size_t max_records, Page& out) const {
  return with_ring(id, [&](const LogRing& ring) {
    out.first = ring.first_sequence();
    out.next = ring.next_sequence();
    ring.for_each(from, [&](const OwnRecord& record) {
      if (out.records.size() >= max_records) return false;
      out.records.push_back(
          {record.sequence, record.time_us, record.priority, std::string(record.text)});
      return true;
    });
    return true;
  });
}

KernelLogs::Ends KernelLogs::ends(ContainerId id) const {
  return with_ring(id, [](const LogRing& ring) {
    return Ends{ring.first_sequence(), ring.next_sequence()};
  });
}

std::optional<LogMarks> KernelLogs::marks(ContainerId id) const {
  return with_ring(id, [](const LogRing& ring) { return std::optional(ring.marks()); });
}

bool KernelLogs::change_marks(ContainerId id, const Change& change) {
  return with_ring(id, [&](LogRing& ring) {
    LogMarks marks = ring.marks();
    change(marks, ring.next_sequence());
    ring.set_marks(marks);
    return true;
  });
}

size_t KernelLogs::listen(Listener listener) {
  const std::lock_guard lock(listening_);
  listeners_[++last_token_] = std::move(listener);
  return last_token_;
}

void KernelLogs::unlisten(size_t token) {
  const std::lock_guard lock(listening_);
  listeners_.erase(token);
}

void KernelLogs::notify_listeners(ContainerId id) {
  const std::lock_guard lock(listening_);
  for (const auto& [token, listener] : listeners_) listener(id);
}

void KernelLogs::forget_ended(const TenantIdentity* of) {
  std::vector<std::pair<ContainerId, TenantIdentity>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, log] : logs_) {
      if (of != nullptr && log.tenant != *of) continue;
      all.emplace_back(id, log.tenant);
    }
  }
  for (const auto& [id, tenant] : all) {
    if (is_there_(id, tenant)) continue;
    const std::lock_guard lock(mutex_);
    const auto it = logs_.find(id);
    if (it != logs_.end()) drop_locked(it);
  }
}

uint64_t KernelLogs::mark() const {
  const std::lock_guard lock(mutex_);
  uint64_t mark = 0;
  if (mark_record_ != 0) std::memcpy(&mark, state_.data(mark_record_), sizeof mark);
  return mark;
}

void KernelLogs::set_mark(uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  const bool is_new = mark_record_ == 0;
  if (is_new) mark_record_ = state_.allocate(RecordType::kLogMark, sizeof sequence);
  if (mark_record_ == 0) return;
  // One word, so the next worker reads the old number or the new one.
  std::atomic<uint64_t>* at = reinterpret_cast<std::atomic<uint64_t>*>(state_.data(mark_record_));
  at->store(sequence, std::memory_order_release);
  if (is_new) state_.publish(mark_record_, RecordType::kLogMark, kMarkKey, sizeof sequence);
}

size_t KernelLogs::size() const {
  const std::lock_guard lock(mutex_);
  return logs_.size();
}

size_t KernelLogs::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

uint64_t KernelLogs::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace vprocfs
