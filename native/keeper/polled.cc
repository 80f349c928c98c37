// The second connection: of files that are polled. The plain one answers no POLL, which spares
// programs that poll all their files a request for each open.

#include "keeper/log.h"
#include "keeper/supervisor.h"

namespace vprocfs {
namespace {

/// Somebody who keeps unmounting it is not to keep us busy.
constexpr uint64_t kAgainMs = 10000;

}  // namespace

bool make_polled(const KeeperOptions& options, Connection& polled) {
  if (polled.mountpoint == nullptr) return false;
  if (!is_free(polled)) {
    keeper_log(options.log, LogLevel::kWarn, "%s: something is mounted here", polled.mountpoint);
  } else if (connect(options, polled)) {
    return true;
  }
  keeper_log(options.log, LogLevel::kWarn,
             "pressure files have no connection of their own: every open by a program that polls "
             "all its files costs an extra request");
  return false;
}

/// Whether nobody serves it though a worker serves: one of a version that knows of one connection
/// only, or one that began before it was made. Its readers get an error then, and wait for nobody.
bool Supervisor::wants_polled() const {
  return polled_.made() && current_.serves() && current_.connections < 2;
}

void Supervisor::look_after_polled(uint64_t now) {
  if (!polled_.made() || stopping_) return;
  if (wants_polled()) polled_.refuse_some();
  // Not before the worker can be replaced: it and who stands by have the old one.
  if (!polled_.ended() || now < polled_again_ms_ || !is_settled()) return;
  polled_again_ms_ = now + kAgainMs;
  keeper_log(options_.log, LogLevel::kWarn, "%s was unmounted: mounting it again",
             polled_.mountpoint);
  forget(polled_, memo_, store_);
  polled_ = connection_of(options_, Connection::kPolled);
  if (!make_polled(options_, polled_)) return;
  keep(polled_, options_, memo_, store_);
  current_.connections = 1;
  begin_reload(-1);
}

}  // namespace vprocfs
