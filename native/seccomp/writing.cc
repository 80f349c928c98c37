// What writers do for the agent, and who waits for them.

#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "seccomp/agent.h"
#include "source/process.h"

namespace vprocfs {
namespace {

/// How long one answer does for further calls of the same source, and for how many of them.
constexpr uint64_t kServeUs = 2000;
constexpr uint64_t kMaxCallsPerAnswer = 1000;

/// An answer of more bytes counts as several calls.
constexpr uint32_t kBytesOfCall = 1024;

Verdict verdict_of(const WriterSlot& slot, WriterSlot::End end) {
  if (end != WriterSlot::kWritten && end != WriterSlot::kFault)
    return fallback_verdict(slot.notification.data);
  Verdict out;
  out.kind = Verdict::Kind::kReply;
  out.value = slot.value;
  if (end == WriterSlot::kFault) out.error = EFAULT;
  return out;
}

}  // namespace

bool Agent::is_poisoned(uint64_t key, uint64_t id) const { return poisoned_.count({key, id}) != 0; }

bool Agent::wait_for_turn(Source& source) {
  const std::lock_guard lock(mutex_);
  const auto found = turns_.find(source.tenant);
  if (found == turns_.end() || !found->second.taken || found->second.stuck) return false;
  found->second.sources.push_back(source.key);
  pending_.writer_slot(found->second.slot).wanted = 1;
  return true;
}

Agent::WriteOutcome Agent::start_write(const SourcePtr& source,
                                       const std::shared_ptr<Container>& who, CallAnswer& answer,
                                       std::unique_ptr<MonitorRequest>& asked, size_t index) {
  const uint64_t tenant = who->tenant().id().packed();
  source->tenant = tenant;
  const std::lock_guard lock(mutex_);
  Turn& turn = turns_[tenant];
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  if (turn.stuck) {
    counters_.late.fetch_add(1, std::memory_order_relaxed);
    return WriteOutcome::kPass;
  }
  if (turn.taken) {
    pending_.writer_slot(turn.slot).wanted = 1;
    // A monitor's question stays in its socket.
    const auto place = asked ? std::nullopt : pending_.park(in_flight);
    if (!asked && !place) return WriteOutcome::kLater;
    in_flight = PendingCalls::Entry{};
    if (place) {
      turn.parked.push_back(*place);
    } else {
      turn.sources.push_back(source->key);
    }
    return WriteOutcome::kWait;
  }
  int started = -1;
  const auto slot = writers_.take(started);
  if (started >= 0) watch_end(*slot, started);
  if (!slot) return WriteOutcome::kLater;
  WriterSlot& at = pending_.writer_slot(*slot);
  if (asked) {
    in_flight = PendingCalls::Entry{};
    in_flight.key = source->key;
    in_flight.notification = asked->request.notification;
    const auto taken = taken_.find({in_flight.key, in_flight.notification.id});
    if (taken != taken_.end()) in_flight.log = taken->second;
  }
  const int listener_fd = asked ? asked->fds[MonitorRequest::kNotify].get() : source->fd.get();
  if (answer.log && !fill_from_log(*slot, answer, who->id(), listener_fd, in_flight)) {
    if (asked) in_flight = PendingCalls::Entry{};
    if (turn.parked.empty() && turn.sources.empty()) turns_.erase(tenant);
    return answer.reply ? WriteOutcome::kReply : WriteOutcome::kEmpty;
  }
  if (in_flight.blocked == 0) source->waits_since_us = 0;
  turn.taken = true;
  turn.slot = *slot;
  at.tenant = tenant;
  fill(*slot, *source, answer, asked.get(), in_flight);
  if (asked) taken_.erase({in_flight.key, in_flight.notification.id});
  writing_[*slot] = Writing{source, who, std::move(asked)};
  // From here on it is the writer's: it must be in one place only.
  in_flight = PendingCalls::Entry{};
  watch_writers();
  writers_.give(*slot);
  return WriteOutcome::kStarted;
}

/// Takes what a call gets of its container's log. False: that is nothing, and how the call ends
/// stands in `answer` unless it is to wait. What was taken is in `call` before it is.
bool Agent::fill_from_log(size_t slot_index, CallAnswer& answer, ContainerId container,
                          int listener_fd, PendingCalls::Entry& call) {
  WriterSlot& slot = pending_.writer_slot(slot_index);
  // For nobody nothing is taken.
  if (!still_waits(listener_fd, call.notification.id)) {
    answer.reply = Verdict::fails(EINTR);
    return false;
  }
  KernelLogs& logs = *options_.answers.logs;
  std::string text = text_of_syslog(logs, container, *answer.log, call.log);
  if (text.empty() && call.log.kind() == LogSpan::kTaken) {
    // What was taken for it before has gone meanwhile.
    call.log = LogSpan{};
    text = text_of_syslog(logs, container, *answer.log, call.log);
  }
  slot.bytes = static_cast<uint32_t>(std::min(text.size(), WriterSlot::kMaxAnswerBytes));
  std::memcpy(pending_.text(slot_index), text.data(), slot.bytes);
  answer.value = slot.bytes;
  if (slot.bytes == 0 && answer.log->action != kSyslogRead) {
    answer.reply = Verdict{Verdict::Kind::kReply, 0, 0};
  }
  return slot.bytes != 0;
}

void Agent::fill(size_t slot_index, const Source& source, const CallAnswer& answer,
                 const MonitorRequest* asked, const PendingCalls::Entry& call) {
  WriterSlot& slot = pending_.writer_slot(slot_index);
  slot.key = source.key;
  slot.notification = call.notification;
  slot.listener_fd = asked != nullptr ? asked->fds[MonitorRequest::kNotify].get() : source.fd.get();
  slot.memory_fd = asked != nullptr ? asked->fds[MonitorRequest::kMemory].get() : -1;
  slot.argument = answer.argument;
  slot.is_32bit = answer.is_32bit ? 1 : 0;
  slot.value = answer.value;
  slot.blocked = call.blocked;
  slot.log = call.log;
  if (!answer.log) {
    slot.bytes = static_cast<uint32_t>(std::min(answer.bytes.size(), WriterSlot::kMaxAnswerBytes));
    std::memcpy(pending_.text(slot_index), answer.bytes.data(), slot.bytes);
  }
  slot.max_calls = 1;
  if (asked != nullptr || !answer.repeats) return;
  const auto ns =
      read_namespaces(options_.answers.procfs_fd, static_cast<pid_t>(slot.notification.pid));
  uint64_t id = slot.notification.id;
  // While the caller waits, its number is its own: these are the namespaces that it was found by.
  if (!ns || ::ioctl(slot.listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) != 0) return;
  slot.pid_ns = ns.value().pid;
  slot.cgroup_ns = ns.value().cgroup;
  slot.until_us = boottime_us() + std::min(kServeUs, options_.answers.tick_us);
  // A tenth of what it has at once: what is over its budget is waited for afterwards.
  const uint64_t per_second = options_.calls_per_second;
  slot.max_calls = static_cast<uint32_t>(
      per_second == 0 ? kMaxCallsPerAnswer
                      : std::clamp<uint64_t>(per_second / 100, 1, kMaxCallsPerAnswer));
}

void Agent::on_written(size_t index) {
  for (;;) {
    std::optional<size_t> slot;
    {
      const std::lock_guard lock(mutex_);
      slot = writers_.next_done();
      // The others are for a thread that has time.
      if (slot && writers_.any_done()) writers_.done().ring();
    }
    if (!slot) return;
    finish(*slot, static_cast<WriterSlot::End>(pending_.writer_slot(*slot).end), index);
    if (keeps_call(index)) return;
  }
}

void Agent::count(const WriterSlot& slot) {
  counters_.answered.fetch_add(slot.answered, std::memory_order_relaxed);
  counters_.faults.fetch_add(slot.faults, std::memory_order_relaxed);
  counters_.gone.fetch_add(slot.gone, std::memory_order_relaxed);
}

void Agent::finish(size_t slot_index, WriterSlot::End end, size_t index) {
  WriterSlot& slot = pending_.writer_slot(slot_index);
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  count(slot);
  const uint64_t tenant = slot.tenant;
  const bool returned = end == WriterSlot::kReturned;
  // The call that a writer gives back is charged when it is answered.
  const uint32_t calls = std::max<uint32_t>(returned ? 0 : 1, slot.answered + slot.gone) +
                         slot.bytes / (kBytesOfCall + 1);
  const Verdict verdict = verdict_of(slot, end);
  const bool nobody_has_it =
      end == WriterSlot::kGone || end == WriterSlot::kUnwritable || slot.gone != 0;
  Writing was;
  {
    const std::lock_guard lock(mutex_);
    was = std::exchange(writing_[slot_index], Writing{});
    in_flight = PendingCalls::Entry{};
    in_flight.key = slot.key;
    in_flight.notification = slot.notification;
    in_flight.blocked = slot.blocked;
    in_flight.log = slot.log;
    writers_.put_back(slot_index);
    const auto turn = turns_.find(tenant);
    const bool its = turn != turns_.end() && turn->second.slot == slot_index;
    if (its && !turn->second.stuck) turn->second.taken = false;
  }
  written_.notify_all();
  if (in_flight.log.kind() != LogSpan::kNone && nobody_has_it) {
    give_back(*options_.answers.logs, was.who->id(), in_flight.log);
  }
  end_call_of(was, returned, verdict, calls, index);
  next_turn(tenant, index);
}

void Agent::end_call_of(const Writing& was, bool returned, const Verdict& verdict, uint32_t calls,
                        size_t index) {
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  if (was.asked && returned) {
    // The question is still in its socket.
    if (in_flight.log.kind() != LogSpan::kNone) {
      const std::lock_guard lock(mutex_);
      taken_[{in_flight.key, in_flight.notification.id}] = in_flight.log;
    }
    in_flight = PendingCalls::Entry{};
    return rearm(was.source->key, was.source->fd.get());
  }
  if (was.asked) {
    // A monitor waits for its answer even when the caller does not any more.
    if (!reply_lxc(*was.source, *was.asked, verdict, index)) return remove(*was.source);
  } else if (returned && in_flight.notification.id != 0) {
    if (stopping_) return leave_to_next(index);
    // Those before it in the same session are paid for, or there would be no end to them.
    const uint64_t wait_us = charge(*was.source, was.who, calls);
    if (wait_us == 0 || !put_aside(wait_us, index)) answer_listener(was.source, index);
    return;
  } else if (in_flight.notification.id != 0) {
    reply(*was.source, in_flight.notification, verdict);
  }
  const bool was_blocked = in_flight.blocked != 0;
  in_flight = PendingCalls::Entry{};
  go_on(*was.source, was.who, calls, !was_blocked);
}

/// Puts the call that this thread works on where the next worker finds it: the thread may go on
/// with what else has been written. If there is no room, it must not (keeps_call()).
void Agent::leave_to_next(size_t index) {
  const std::lock_guard lock(mutex_);
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  if (pending_.park(in_flight)) in_flight = PendingCalls::Entry{};
}

bool Agent::keeps_call(size_t index) const {
  return stopping_.load(std::memory_order_acquire) && pending_.in_flight(index).in_use();
}

void Agent::next_turn(uint64_t tenant, size_t index) {
  for (;;) {
    PendingCalls::Entry next;
    {
      const std::lock_guard lock(mutex_);
      const auto found = turns_.find(tenant);
      if (found == turns_.end()) return;
      Turn& turn = found->second;
      if (turn.taken && !turn.stuck) return;
      if (stopping_) return;
      if (turn.parked.empty()) {
        for (const uint64_t key : std::exchange(turn.sources, {})) {
          const auto source = sources_.find(key);
          if (source != sources_.end()) rearm(key, source->second->fd.get());
        }
        if (!turn.stuck) turns_.erase(found);
        return;
      }
      const size_t place = turn.parked.front();
      turn.parked.pop_front();
      next = PendingCalls::move(pending_.parked(place), pending_.in_flight(index));
    }
    resume(next, index);
  }
}

void Agent::leave(size_t slot_index) {
  WriterSlot& slot = pending_.writer_slot(slot_index);
  count(slot);
  const auto end = static_cast<WriterSlot::End>(slot.end);
  const Writing was = std::exchange(writing_[slot_index], Writing{});
  if (was.asked) {
    reply_lxc(*was.source, *was.asked, verdict_of(slot, end), 0);
  }
  if (was.asked || slot.notification.id == 0) {
    writers_.put_back(slot_index);
  } else {
    writers_.leave(slot_index);
  }
}

}  // namespace vprocfs
