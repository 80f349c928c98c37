// What writers do for the agent, and who waits for them.

#include <poll.h>
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

Verdict verdict_of(const Desk& desk, Desk::End end) {
  if (end != Desk::kWritten && end != Desk::kFault) return unanswered(desk.notification.data);
  Verdict out;
  out.kind = Verdict::Kind::kReply;
  out.value = desk.value;
  if (end == Desk::kFault) out.error = EFAULT;
  return out;
}

}  // namespace

bool Agent::is_poisoned(uint64_t key, uint64_t id) const { return poisoned_.count({key, id}) != 0; }

bool Agent::wait_for_turn(Source& source) {
  const std::lock_guard lock(mutex_);
  const auto found = turns_.find(source.tenant);
  if (found == turns_.end() || !found->second.taken || found->second.stuck) return false;
  found->second.sources.push_back(source.key);
  pending_.desk(found->second.desk).wanted = 1;
  return true;
}

Agent::Given Agent::give(const SourcePtr& source, const std::shared_ptr<Container>& who,
                         CallAnswer& answer, std::unique_ptr<Asked>& asked, size_t index) {
  const uint64_t tenant = who->tenant().id().packed();
  source->tenant = tenant;
  const std::lock_guard lock(mutex_);
  Turn& turn = turns_[tenant];
  PendingCalls::Entry& hand = pending_.hand(index);
  if (turn.stuck) {
    counters_.late.fetch_add(1, std::memory_order_relaxed);
    return Given::kPass;
  }
  if (turn.taken) {
    pending_.desk(turn.desk).wanted = 1;
    // A monitor's question stays in its socket.
    const auto place = asked ? std::nullopt : pending_.park(hand);
    if (!asked && !place) return Given::kLater;
    hand = PendingCalls::Entry{};
    if (place) {
      turn.parked.push_back(*place);
    } else {
      turn.sources.push_back(source->key);
    }
    return Given::kWait;
  }
  int started = -1;
  const auto desk = writers_.take(started);
  if (started >= 0) watch_end(*desk, started);
  if (!desk) return Given::kLater;
  Desk& at = pending_.desk(*desk);
  if (asked) {
    hand = PendingCalls::Entry{};
    hand.key = source->key;
    hand.notification = asked->request.notification;
    const auto taken = taken_.find({hand.key, hand.notification.id});
    if (taken != taken_.end()) hand.log = taken->second;
  }
  const int listener_fd = asked ? asked->fds[Asked::kNotify].get() : source->fd.get();
  if (answer.log && !fill_from_log(*desk, answer, who->id(), listener_fd, hand)) {
    if (asked) hand = PendingCalls::Entry{};
    if (turn.parked.empty() && turn.sources.empty()) turns_.erase(tenant);
    return answer.reply ? Given::kReply : Given::kEmpty;
  }
  if (hand.held == 0) source->waits_since_us = 0;
  turn.taken = true;
  turn.desk = *desk;
  at.tenant = tenant;
  fill(*desk, *source, answer, asked.get(), hand);
  if (asked) taken_.erase({hand.key, hand.notification.id});
  writing_[*desk] = Writing{source, who, std::move(asked)};
  // From here on it is the writer's: it must be in one place only.
  hand = PendingCalls::Entry{};
  watch_writers();
  writers_.give(*desk);
  return Given::kGiven;
}

/// Takes what a call gets of its container's log. False: that is nothing, and how the call ends
/// stands in `answer` unless it is to wait. What was taken is in `call` before it is.
bool Agent::fill_from_log(size_t index_of_desk, CallAnswer& answer, ContainerId container,
                          int listener_fd, PendingCalls::Entry& call) {
  Desk& desk = pending_.desk(index_of_desk);
  // For nobody nothing is taken.
  if (!still_waits(listener_fd, call.notification.id)) {
    answer.reply = Verdict::fails(EINTR);
    return false;
  }
  KernelLogs& logs = *options_.answers.logs;
  std::string text = text_of_syslog(logs, container, *answer.log, call.log);
  if (text.empty() && call.log.kind == LogSpan::kTaken) {
    // What was taken for it before has gone meanwhile.
    call.log = LogSpan{};
    text = text_of_syslog(logs, container, *answer.log, call.log);
  }
  desk.bytes = static_cast<uint32_t>(std::min(text.size(), Desk::kMaxAnswerBytes));
  std::memcpy(pending_.text(index_of_desk), text.data(), desk.bytes);
  answer.value = desk.bytes;
  if (desk.bytes == 0 && answer.log->action != kSyslogRead) {
    answer.reply = Verdict{Verdict::Kind::kReply, 0, 0};
  }
  return desk.bytes != 0;
}

void Agent::fill(size_t index_of_desk, const Source& source, const CallAnswer& answer,
                 const Asked* asked, const PendingCalls::Entry& call) {
  Desk& desk = pending_.desk(index_of_desk);
  desk.key = source.key;
  desk.notification = call.notification;
  desk.listener_fd = asked != nullptr ? asked->fds[Asked::kNotify].get() : source.fd.get();
  desk.memory_fd = asked != nullptr ? asked->fds[Asked::kMemory].get() : -1;
  desk.argument = answer.argument;
  desk.is_32bit = answer.is_32bit ? 1 : 0;
  desk.value = answer.value;
  desk.held = call.held;
  desk.log = call.log;
  if (!answer.log) {
    desk.bytes = static_cast<uint32_t>(std::min(answer.bytes.size(), Desk::kMaxAnswerBytes));
    std::memcpy(pending_.text(index_of_desk), answer.bytes.data(), desk.bytes);
  }
  desk.max_calls = 1;
  if (asked != nullptr || !answer.repeats) return;
  const auto ns =
      read_namespaces(options_.answers.procfs_fd, static_cast<pid_t>(desk.notification.pid));
  uint64_t id = desk.notification.id;
  // While the caller waits, its number is its own: these are the namespaces that it was found by.
  if (!ns || ::ioctl(desk.listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) != 0) return;
  desk.pid_ns = ns.value().pid;
  desk.cgroup_ns = ns.value().cgroup;
  desk.until_us = boottime_us() + std::min(kServeUs, options_.answers.tick_us);
  // A tenth of what it has at once: what is over its budget is waited for afterwards.
  const uint64_t per_second = options_.calls_per_second;
  desk.max_calls = static_cast<uint32_t>(
      per_second == 0 ? kMaxCallsPerAnswer
                      : std::clamp<uint64_t>(per_second / 100, 1, kMaxCallsPerAnswer));
}

void Agent::on_written(size_t index) {
  writers_.done().drain();
  for (;;) {
    std::optional<size_t> desk;
    {
      const std::lock_guard lock(mutex_);
      desk = writers_.next_done();
    }
    if (!desk) return;
    finish(*desk, static_cast<Desk::End>(pending_.desk(*desk).end), index);
  }
}

void Agent::count(const Desk& desk) {
  counters_.answered.fetch_add(desk.answered, std::memory_order_relaxed);
  counters_.faults.fetch_add(desk.faults, std::memory_order_relaxed);
  counters_.gone.fetch_add(desk.gone, std::memory_order_relaxed);
}

void Agent::finish(size_t index_of_desk, Desk::End end, size_t index) {
  Desk& desk = pending_.desk(index_of_desk);
  PendingCalls::Entry& hand = pending_.hand(index);
  count(desk);
  const uint64_t tenant = desk.tenant;
  const uint32_t calls =
      std::max<uint32_t>(1, desk.answered + desk.gone) + desk.bytes / (kBytesOfCall + 1);
  const Verdict verdict = verdict_of(desk, end);
  const bool nobody_has_it = end == Desk::kGone || end == Desk::kUnwritable || desk.gone != 0;
  Writing was;
  {
    const std::lock_guard lock(mutex_);
    was = std::exchange(writing_[index_of_desk], Writing{});
    hand = PendingCalls::Entry{};
    hand.key = desk.key;
    hand.notification = desk.notification;
    hand.held = desk.held;
    hand.log = desk.log;
    writers_.put_back(index_of_desk);
    const auto turn = turns_.find(tenant);
    const bool its = turn != turns_.end() && turn->second.desk == index_of_desk;
    if (its && !turn->second.stuck) turn->second.taken = false;
  }
  if (hand.log.kind != LogSpan::kNone && nobody_has_it) {
    give_back(*options_.answers.logs, was.who->id(), hand.log);
  }
  end_call_of(was, end == Desk::kReturned, verdict, calls, index);
  next_turn(tenant, index);
}

void Agent::end_call_of(const Writing& was, bool returned, const Verdict& verdict, uint32_t calls,
                        size_t index) {
  PendingCalls::Entry& hand = pending_.hand(index);
  if (was.asked && returned) {
    // The question is still in its socket.
    if (hand.log.kind != LogSpan::kNone) {
      const std::lock_guard lock(mutex_);
      taken_[{hand.key, hand.notification.id}] = hand.log;
    }
    hand = PendingCalls::Entry{};
    return rearm(was.source->key, was.source->fd.get());
  }
  if (was.asked) {
    // A monitor waits for its answer even when the caller does not any more.
    if (!reply_lxc(*was.source, *was.asked, verdict, index)) return remove(*was.source);
  } else if (returned) {
    return answer_listener(was.source, index);
  } else if (hand.notification.id != 0) {
    reply(*was.source, hand.notification, verdict);
  }
  const bool was_held = hand.held != 0;
  hand = PendingCalls::Entry{};
  go_on(*was.source, was.who, calls, !was_held);
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
      next = PendingCalls::move(pending_.parked(place), pending_.hand(index));
    }
    resume(next, index);
  }
}

void Agent::leave(size_t index_of_desk) {
  Desk& desk = pending_.desk(index_of_desk);
  count(desk);
  const auto end = static_cast<Desk::End>(desk.end);
  const Writing was = std::exchange(writing_[index_of_desk], Writing{});
  if (was.asked) {
    reply_lxc(*was.source, *was.asked, verdict_of(desk, end), 0);
  }
  if (was.asked || desk.notification.id == 0) {
    writers_.put_back(index_of_desk);
  } else {
    writers_.leave(index_of_desk);
  }
}

}  // namespace vprocfs
