// A new worker takes over while the old one serves, because somebody asked for it.

#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "keeper/log.h"
#include "keeper/notify.h"
#include "keeper/supervisor.h"

namespace vprocfs {
namespace {

// How soon the first worker is given up for a second one.
constexpr uint64_t kSoonMs = 10000;

constexpr char kBusy[] = "busy: a worker is being started or stopped";

void answer(Fd& client, const char* text) {
  if (client) ::send(client.get(), text, std::strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
  client.reset();
}

}  // namespace

bool Supervisor::can_reload() const {
  if (reloading_ || stopping_ || probe_ != 0) return false;
  return current_.serves() || (!current_.alive() && !next_.alive());
}

void Supervisor::begin_reload(int client) {
  Fd asking(client);
  if (stopping_ || (asking && waiting_client_)) {
    keeper_log(options_.log, LogLevel::kWarn, "not reloading: %s", kBusy);
    return answer(asking, kBusy);
  }
  reload_pending_ = true;
  if (asking) waiting_client_ = std::move(asking);
  if (!can_reload()) {
    keeper_log(options_.log, LogLevel::kInfo, "reloading as soon as the worker serves");
    return;
  }
  begin_pending_reload(monotonic_ms());
}

/// A worker that is just being started may have read what is to be replaced: who asks meanwhile
/// waits until it serves.
void Supervisor::begin_pending_reload(uint64_t now) {
  if (!reload_pending_ || !can_reload()) return;
  // It was started from what is to be replaced.
  discard_standby();
  reload_pending_ = false;
  reload_client_ = std::move(waiting_client_);
  reloading_ = true;
  reload_retried_ = false;
  keeper_log(options_.log, LogLevel::kInfo, "reloading");
  char text[80];
  std::snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading",
                static_cast<unsigned long long>(now) * 1000);
  notify_supervisor(text);
  if (current_.alive()) return start_for_reload(now);
  failures_ = 0;
  start(current_, now);
}

void Supervisor::start_for_reload(uint64_t now) {
  start(next_, now);
  // The old one serves meanwhile, so that a start that hangs can be given up early for another.
  if (!next_.alive()) return end_reload("cannot start a worker");
  if (reload_retried_) return;
  const uint64_t soon = std::max(kSoonMs, 6 * started_in_ms_);
  next_.deadline_ms = std::min(next_.deadline_ms, now + soon);
}

bool Supervisor::hurried(const Worker& worker) const {
  return reloading_ && !reload_retried_ && &worker == &next_ && current_.alive();
}

bool Supervisor::retry_reload(const char* why, uint64_t now) {
  if (reload_retried_) return false;
  reload_retried_ = true;
  keeper_log(options_.log, LogLevel::kWarn, "the new worker failed (%s): trying once more", why);
  start_for_reload(now);
  return true;
}

const char* Supervisor::ready_text() const {
  if (current_.serves()) return "READY=1\nSTATUS=serving";
  return refusing_ ? "READY=1\nSTATUS=no worker serves, readers get an error"
                   : "READY=1\nSTATUS=restarting";
}

void Supervisor::end_reload(const char* result) {
  if (!reloading_) return;
  reloading_ = false;
  // For systemd a reload ends with this, whichever way it went.
  tell_ready(ready_text());
  answer(reload_client_, result);
}

void Supervisor::end_reloads(const char* result) {
  end_reload(result);
  reload_pending_ = false;
  answer(waiting_client_, result);
}

}  // namespace vprocfs
