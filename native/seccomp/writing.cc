// Calls whose answers are written by writers.

#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "seccomp/abi.h"
#include "seccomp/agent.h"
#include "source/process.h"

namespace vprocfs {
namespace {

/// How long one answer may be given to further calls of the same source, and to how many.
constexpr uint64_t kServeUs = 2000;
constexpr uint64_t kMaxCallsPerAnswer = 1000;

/// An answer of more bytes counts as several calls.
constexpr uint32_t kBytesOfCall = 1024;

Verdict verdict_of(const WriterSlot& slot, WriterSlot::End end) {
  if (end == WriterSlot::kWritten) return Verdict::returns(slot.value);
  if (end == WriterSlot::kFault) return Verdict::fails(EFAULT);
  return fallback_verdict(slot.notification.data);
}

}  // namespace

/// Has the call in this thread's slot, or a monitor's question, wait until the turn ends.
Agent::Progress Agent::join_turn_locked(uint64_t tenant, const Source& source, bool is_monitor,
                                        size_t index) {
  if (is_monitor) {
    // The question is read again then: it stays in the monitor's socket.
    queue_source_locked(tenant, source.key);
  } else {
    const auto place = pending_.park(pending_.in_flight(index));
    if (!place) return Progress::kLater;
    turns_[tenant].parked.push_back(*place);
  }
  pending_.in_flight(index) = PendingCalls::Entry{};
  return Progress::kWait;
}

/// Takes the tenant's turn at writing, with a writer's slot. kWait, kPass, kLater: it has none.
Agent::Progress Agent::take_turn(const Source& source, uint64_t tenant, bool is_monitor,
                                 size_t index, size_t& slot_index) {
  const std::lock_guard lock(mutex_);
  Turn& turn = turns_[tenant];
  if (turn.stuck) {
    counters_.late.fetch_add(1, std::memory_order_relaxed);
    return Progress::kPass;
  }
  if (turn.taken) {
    pending_.writer_slot(turn.slot).wanted = 1;
    return join_turn_locked(tenant, source, is_monitor, index);
  }
  int started = -1;
  const auto slot = writers_.take(started);
  if (started >= 0) watch_end(*slot, started);
  if (!slot) {
    forget_idle_turn_locked(tenant);
    return Progress::kLater;
  }
  turn.taken = true;
  turn.slot = slot_index = *slot;
  pending_.writer_slot(*slot).tenant = tenant;
  return Progress::kStarted;
}

/// Gives back what take_turn() took. Whoever waits for it has to be told: see end_turn().
void Agent::undo_turn_locked(uint64_t tenant, size_t slot_index) {
  writers_.put_back(slot_index);
  const auto turn = turns_.find(tenant);
  if (turn != turns_.end()) turn->second.taken = false;
  forget_idle_turn_locked(tenant);
}

/// Hands the answer to a call to a writer, unless the tenant's turn is taken.
Agent::Progress Agent::start_write(const SourcePtr& source, const std::shared_ptr<Container>& who,
                                   CallAnswer& answer, std::unique_ptr<MonitorRequest>& asked,
                                   size_t index) {
  const uint64_t tenant = who->tenant().id().packed();
  size_t slot = 0;
  const Progress turn = take_turn(*source, tenant, asked != nullptr, index, slot);
  if (turn != Progress::kStarted) return turn;
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  if (asked) {
    in_flight = PendingCalls::Entry{};
    in_flight.key = source->key;
    in_flight.notification = asked->request.notification;
    const LogSpan taken = std::exchange(source->taken, LogSpan{});
    if (source->taken_for == in_flight.notification.id) in_flight.log = taken;
  }
  // Not under the lock that all calls need: this goes through a log, or asks for namespaces.
  const int listener_fd = asked ? asked->fds[MonitorRequest::kNotify].get() : source->fd.get();
  const bool is_of_log = answer.kind != CallAnswer::Kind::kWrite;
  if (is_of_log && !fill_from_log(slot, answer, who->id(), listener_fd, in_flight)) {
    if (asked) in_flight = PendingCalls::Entry{};
    const std::lock_guard lock(mutex_);
    undo_turn_locked(tenant, slot);
    return answer.kind == CallAnswer::Kind::kReply ? Progress::kReply : Progress::kEmpty;
  }
  const bool was_blocked = in_flight.blocked != 0;
  fill(slot, *source, answer, asked.get(), in_flight);
  {
    const std::lock_guard lock(mutex_);
    int started = -1;
    if (writers_.renew(slot, started)) {
      if (started >= 0) watch_end(slot, started);
      if (!was_blocked) source->waits_since_us = 0;
      writing_[slot] = Writing{source, who, std::move(asked)};
      // From here on the call is the writer's: it must be in one place only.
      in_flight = PendingCalls::Entry{};
      watch_writers_locked();
      writers_.give(slot);
      return Progress::kStarted;
    }
  }
  // The call is tried again, if at all, as if nothing had been taken for it. Not under the lock:
  // on_log() is told of what is given back.
  if (in_flight.log.kind() != LogSpan::kNone) {
    give_back(*options_.answers.logs, who->id(), in_flight.log);
  }
  in_flight.log = LogSpan{};
  if (asked) in_flight = PendingCalls::Entry{};
  const std::lock_guard lock(mutex_);
  undo_turn_locked(tenant, slot);
  return Progress::kLater;
}

/// Keeps what was taken from a log for a monitor's question, which is read again, and clears
/// `call`.
void Agent::keep_taken(Source& monitor, PendingCalls::Entry& call) {
  if (call.log.kind() != LogSpan::kNone) {
    monitor.taken_for = call.notification.id;
    monitor.taken = call.log;
  }
  call = PendingCalls::Entry{};
}

/// Takes text from the container's log into the slot. Sets `call.log` before anything is taken, so
/// that it is not lost if we die. False: there is no text; `answer` is a reply then, unless the
/// call has to wait for a record.
bool Agent::fill_from_log(size_t slot_index, CallAnswer& answer, ContainerId container,
                          int listener_fd, PendingCalls::Entry& call) {
  WriterSlot& slot = pending_.writer_slot(slot_index);
  const auto reply_with = [&answer](const Verdict& verdict) {
    answer.kind = CallAnswer::Kind::kReply;
    answer.reply = verdict;
    return false;
  };
  // Nothing is taken for a caller that no longer waits.
  if (!still_waits(listener_fd, call.notification.id)) return reply_with(Verdict::fails(EINTR));
  KernelLogs& logs = *options_.answers.logs;
  std::string text = text_of_syslog(logs, container, answer.log, call.log);
  if (text.empty() && call.log.kind() == LogSpan::kTaken) {
    // The records that were taken for it before have been overwritten.
    call.log = LogSpan{};
    text = text_of_syslog(logs, container, answer.log, call.log);
  }
  slot.bytes = static_cast<uint32_t>(std::min(text.size(), WriterSlot::kMaxAnswerBytes));
  std::memcpy(pending_.text(slot_index), text.data(), slot.bytes);
  answer.value = slot.bytes;
  if (slot.bytes == 0 && answer.log.action != kSyslogRead) return reply_with(Verdict::returns(0));
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
  if (answer.kind == CallAnswer::Kind::kWrite) {
    slot.bytes = static_cast<uint32_t>(std::min(answer.bytes.size(), WriterSlot::kMaxAnswerBytes));
    std::memcpy(pending_.text(slot_index), answer.bytes.data(), slot.bytes);
  }
  slot.max_calls = 1;
  if (asked != nullptr || !answer.repeats) return;
  const auto ns =
      read_namespaces(options_.answers.procfs_fd, static_cast<pid_t>(slot.notification.pid));
  uint64_t id = slot.notification.id;
  // While the caller waits its PID is not reused: if it still does, these are its namespaces.
  if (!ns || ::ioctl(slot.listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) != 0) return;
  slot.pid_ns = ns.value().pid;
  slot.cgroup_ns = ns.value().cgroup;
  slot.until_us = boottime_us() + std::min(kServeUs, options_.answers.tick_us);
  // A tenth of a Budget's burst: the source pauses afterwards for calls that exceed its budget.
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
      // Has an idle thread take the others.
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

/// Ends the call of a slot whose writer is done or has ended.
void Agent::finish(size_t slot_index, WriterSlot::End end, size_t index) {
  WriterSlot& slot = pending_.writer_slot(slot_index);
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  count(slot);
  const uint64_t tenant = slot.tenant;
  const bool returned = end == WriterSlot::kReturned;
  // The call that a writer returns is charged when it is answered.
  const uint32_t calls = std::max<uint32_t>(returned ? 0 : 1, slot.answered + slot.gone) +
                         slot.bytes / (kBytesOfCall + 1);
  const Verdict verdict = verdict_of(slot, end);
  const bool was_delivered =
      end != WriterSlot::kGone && end != WriterSlot::kUnwritable && slot.gone == 0;
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
    const bool has_turn = turn != turns_.end() && turn->second.slot == slot_index;
    if (has_turn && !turn->second.stuck) turn->second.taken = false;
  }
  written_.notify_all();
  if (in_flight.log.kind() != LogSpan::kNone && !was_delivered) {
    give_back(*options_.answers.logs, was.who->id(), in_flight.log);
  }
  const bool has_reply = in_flight.notification.id == 0 && !was.asked;
  if (returned && !has_reply) {
    answer_again(was, calls, index);
  } else if (was.asked && !reply_lxc(*was.source, *was.asked, verdict, index)) {
    // A monitor gets its answer even if the caller is gone; this one does not read it.
    remove(*was.source);
  } else {
    if (!was.asked && !has_reply) reply(*was.source, in_flight.notification, verdict);
    const bool was_blocked = in_flight.blocked != 0;
    in_flight = PendingCalls::Entry{};
    charge_and_rearm(*was.source, was.who, calls, !was_blocked);
  }
  end_turn(tenant, index);
}

/// Answers the call in this thread's slot, which a writer returned or was killed at.
void Agent::answer_again(const Writing& was, uint32_t calls, size_t index) {
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  if (was.asked) {
    // The question is still in the monitor's socket.
    keep_taken(*was.source, in_flight);
    return rearm(was.source->key, was.source->fd.get());
  }
  if (stopping_) return park_for_next_worker(index);
  // Charges the calls that the writer answered before this one: there might be no end to them.
  const uint64_t wait_us = charge(*was.source, was.who, calls);
  if (wait_us == 0 || !put_aside(wait_us, index)) answer_listener(was.source, index);
}

/// Parks the call in this thread's slot for the next worker, so that the thread can end other
/// calls. If there is no room, the call stays in the slot (keeps_call()).
void Agent::park_for_next_worker(size_t index) {
  const std::lock_guard lock(mutex_);
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  if (pending_.park(in_flight)) in_flight = PendingCalls::Entry{};
}

bool Agent::keeps_call(size_t index) const {
  return stopping_.load(std::memory_order_acquire) && pending_.in_flight(index).in_use();
}

/// Leaves the call of a slot whose writer is done to the next worker, after the threads have ended.
/// Only a monitor is answered, because its socket has the question, and not we.
void Agent::leave_call(size_t slot_index) {
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
