#include "keeper/refuse_all.h"

#include <poll.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "keeper/connection.h"
#include "keeper/launch.h"
#include "keeper/log.h"
#include "keeper/memo.h"
#include "keeper/store.h"

namespace vprocfs {

int refuse_all(const KeeperOptions& options) {
  static Store store;
  store.receive();
  Memo memo;
  Launch launched;
  if (launched.open(store.take({StoreKind::kLaunch}))) launched.refused();
  Connection held[kMaxConnections];
  pollfd fds[kMaxConnections + 1] = {};
  memo.open(store.take({StoreKind::kMemo}));
  const MemoRecord& record = memo.record();
  for (uint32_t i = 0; i < kMaxConnections; ++i) {
    held[i].number = i;
    held[i].mountpoint = i == Connection::kPlain ? record.mountpoint : record.polled;
    held[i].device = record.connections[i].device;
    held[i].fuse = store.take({StoreKind::kFuse, i, 0});
    held[i].refusal = store.take({StoreKind::kRefusal, i, 0});
    held[i].negotiated = record.connections[i].negotiated;
    fds[i] = {held[i].refusal.get(), POLLIN, 0};
    if (held[i].fuse) held[i].requeue();
  }
  if (!held[0].refusal) return 1;
  keeper_log(options.log, LogLevel::kError,
             "vprocfs is not running: readers get errors until it starts");
  const sigset_t set = keeper_signals();
  const Fd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  fds[kMaxConnections] = {signals.get(), POLLIN, 0};
  const uint64_t until = monotonic_ms() + options.hold_ms;
  for (uint64_t now = monotonic_ms(); now < until; now = monotonic_ms()) {
    ::poll(fds, kMaxConnections + 1, static_cast<int>(until - now));
    signalfd_siginfo info{};
    const bool told = ::read(signals.get(), &info, sizeof(info)) == sizeof(info);
    // The next keeper is on its way, which goes on with what is in the store.
    if (told && static_cast<int>(info.ssi_signo) == leave_signal()) return 0;
    if (told && (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)) {
      for (const Connection& connection : held) {
        if (connection.device != 0) disconnect(options, connection);
        forget(connection, memo, store);
      }
      return 0;
    }
    for (uint32_t i = 0; i < kMaxConnections; ++i) {
      if (!held[i].refusal || held[i].ended()) fds[i].fd = -1;
      if (fds[i].fd >= 0) held[i].refuse_some();
    }
  }
  return 1;
}

}  // namespace vprocfs
