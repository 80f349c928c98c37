// What workers tell the keeper.

#include <cstdio>
#include <utility>

#include "base/clock.h"
#include "base/descriptors.h"
#include "keeper/log.h"
#include "keeper/proc.h"
#include "keeper/supervisor.h"

namespace vprocfs {
void Supervisor::keep_descriptor(const KeeperPacket& packet, Fd descriptor) {
  const bool came = static_cast<bool>(descriptor);
  // Without any that is free no worker could be started. In the place of another it takes none.
  const bool fits =
      descriptor.get() < first_reserved_descriptor() || fd_store_.has(packet.requests);
  const auto kind = static_cast<FdKind>(packet.serving);
  if (fits && fd_store_.keep(packet.requests, kind, std::move(descriptor))) return;
  lose_descriptors(1, came ? "found no room with the keeper" : "did not reach the keeper");
}

void Supervisor::lose_descriptors(uint64_t count, const char* how) {
  if (count == 0) return;
  descriptors_lost_ += count;
  keeper_log(options_.log, LogLevel::kError,
             "%llu descriptors of containers %s (RLIMIT_NOFILE?): their system calls wait or fail",
             static_cast<unsigned long long>(count), how);
}

/// Takes what counts even when its worker has ended. False: it is something else.
bool Supervisor::take_note(Worker& worker, const KeeperPacket& packet, Fd descriptor) {
  switch (static_cast<KeeperMessage>(packet.type)) {
    case KeeperMessage::kStoreFd:
      keep_descriptor(packet, std::move(descriptor));
      return true;
    case KeeperMessage::kRemoveFd:
      fd_store_.forget(packet.requests);
      return true;
    case KeeperMessage::kFailed:
      std::snprintf(worker.why, sizeof(worker.why), "%.95s", packet.why);
      return true;
    default:
      return false;
  }
}

void Supervisor::on_packet(Worker& worker) {
  KeeperPacket packet;
  Fd descriptor;
  if (!worker.receive(packet, descriptor)) return on_hang_up(worker);
  if (take_note(worker, packet, std::move(descriptor))) return;
  const uint64_t now = monotonic_ms();
  switch (static_cast<KeeperMessage>(packet.type)) {
    case KeeperMessage::kListFds:
      // How long it waited was up to us.
      if (worker.state == WorkerState::kActivating) worker.deadline_ms = activate_by_ms(now);
      if (!fd_store_.send(worker.control.get(), packet.requests)) worker.kill("unreachable", now);
      return;
    case KeeperMessage::kReady:
      worker.watch_threads(static_cast<pid_t>(packet.requests));
      return on_ready(worker, now);
    case KeeperMessage::kServing:
      lose_descriptors(packet.lost, "did not reach the next worker");
      worker.connections = packet.serving;
      return on_serving(worker, packet.why, now);
    case KeeperMessage::kBeat:
    case KeeperMessage::kIdleBeat:
      worker.resent = packet.resent;
      worker.requests = packet.requests;
      if (packet.serving != 0 || worker.state == WorkerState::kReady) worker.last_beat_ms = now;
      on_idle_beat(worker, packet.type == static_cast<uint32_t>(KeeperMessage::kIdleBeat));
      if (worker.serves() && worker.last_beat_ms == now && worker.proven(now)) {
        unserved_since_ms_ = 0;
        failures_ = 0;
      }
      return;
    case KeeperMessage::kDrained:
      if (worker.state != WorkerState::kDraining) return;
      worker.resent = packet.resent;
      worker.requests = packet.requests;
      // It takes no more and writes no more, be it because we kill it: what is left of it need not
      // be waited for.
      if (packet.serving != 0) worker.kill("a container keeps it", now);
      if (stopping_) {
        drained_ = true;
        return;
      }
      return hand_over_to_next(now);
    default:
      return;
  }
}

/// An idle worker says only after a long time, or when it is asked, that it is well: then nobody
/// may wait for an answer of it, nor for the standby, which is idle as long.
void Supervisor::on_idle_beat(Worker& worker, bool idle) {
  if (worker.idle == idle) return;
  const uint64_t now = monotonic_ms();
  if (!idle) {
    worker.wake(options_.watchdog_ms, &worker == &current_, now);
  } else {
    worker.idle = true;
  }
  if (&worker != &current_ || next_.state != WorkerState::kReady) return;
  next_.wake(options_.watchdog_ms, idle, now);
}

/// Readers are waiting, so a worker that a signal has ended is replaced before wait(2) tells of it.
/// It is reaped later, if it ends at all.
void Supervisor::on_early_end(int status) {
  Worker ending;
  ending.pid = current_.pid;
  ending.ending_ms = monotonic_ms();
  on_child(ending.pid, status);
  retire(ending);
}

void Supervisor::on_hang_up(Worker& worker) {
  if (worker.control || &worker != &current_) return;
  if (const auto status = ending(worker.pid)) on_early_end(*status);
}

void Supervisor::on_thread_end(uint64_t now) {
  if (const auto status = current_.look_at_end(now)) on_early_end(*status);
}

/// Reads what a worker that has ended sent last, which may bring descriptors.
void Supervisor::drain_packets(Worker& worker) {
  KeeperPacket packet;
  Fd descriptor;
  while (worker.control && worker.receive(packet, descriptor)) {
    take_note(worker, packet, std::move(descriptor));
  }
}

}  // namespace vprocfs
