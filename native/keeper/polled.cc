// The second connection: of files that are polled. The plain one answers no POLL, which spares
// programs that poll all their files a request for each open.

#include "fuse/mount.h"
#include "keeper/log.h"
#include "keeper/mount_table.h"
#include "keeper/supervisor.h"

namespace vprocfs {
namespace {

/// Somebody who keeps unmounting it is not to keep us busy.
constexpr uint64_t kAgainMs = 10000;
/// Each is two starts of a worker, which may fail for long.
constexpr uint64_t kReloadAgainMs = 60000;
/// As many dead mounts over each other are unmounted.
constexpr int kMaxLayers = 16;

/// Earlier versions forgot mounts that they had not unmounted: nobody serves what is ours here and
/// not known to us, who have the lock of the mount point.
void remove_leftovers(const KeeperOptions& options, const char* place) {
  bool lazy = false;
  for (int i = 0; i < kMaxLayers && is_ours(options, place); ++i) {
    if (!unmount_fuse(place, lazy)) return;
  }
}

/// `again`: it was said before that something is mounted there.
bool mount_polled(const KeeperOptions& options, bool again, Connection& polled) {
  if (!is_free(polled)) remove_leftovers(options, polled.mountpoint);
  if (is_free(polled)) return connect(options, polled);
  if (!again) {
    keeper_log(options.log, LogLevel::kWarn, "%s: something is mounted here", polled.mountpoint);
  }
  return false;
}

}  // namespace

bool make_polled(const KeeperOptions& options, Connection& polled) {
  if (polled.mountpoint == nullptr) return false;
  if (mount_polled(options, false, polled)) return true;
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

/// Whether it is to be mounted again, and the worker can be replaced: it and the standby have the
/// old one. Once there was one the kernel asks for polls nowhere else.
bool Supervisor::lacks_polled() const {
  const bool had = polled_.mountpoint != nullptr && connection_.negotiated.polled_elsewhere != 0;
  return had && (!polled_.made() || polled_.ended()) && is_settled();
}

/// Whether it was mounted again and no worker could be started since that serves it.
bool Supervisor::awaits_polled() const { return polled_remade_ && wants_polled() && is_settled(); }

void Supervisor::look_after_polled(uint64_t now) {
  if (stopping_) return;
  if (wants_polled()) polled_.refuse_some();
  if (!(lacks_polled() || awaits_polled()) || now < polled_again_ms_) return;
  if (!lacks_polled()) {
    polled_again_ms_ = now + kReloadAgainMs;
    return begin_reload(-1);
  }
  polled_again_ms_ = now + kAgainMs;
  const bool again = !polled_.made();
  if (!again) {
    keeper_log(options_.log, LogLevel::kWarn, "%s was unmounted or aborted: mounting it again",
               polled_.mountpoint);
    // An aborted one is still mounted.
    disconnect(options_, polled_);
    forget(polled_, memo_, store_);
    polled_ = connection_of(options_, Connection::kPolled);
  }
  if (!mount_polled(options_, again, polled_)) {
    if (again) return;
    keeper_log(options_.log, LogLevel::kError,
               "containers cannot read their pressure files until it can be mounted");
    return;
  }
  keep(polled_, options_, memo_, store_);
  current_.connections = 1;
  polled_remade_ = true;
  begin_reload(-1);
}

}  // namespace vprocfs
