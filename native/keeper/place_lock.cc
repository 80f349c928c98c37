#include "keeper/place_lock.h"

#include <unistd.h>

#include <cerrno>

#include "base/lock_file.h"

namespace vprocfs {

PlaceLock::PlaceLock(const KeeperOptions& options) {
  if (options.socket == nullptr) return;
  path_ = std::string(options.socket) + ".lock";
  file_ = lock_file(path_.c_str(), O_RDWR | O_CREAT, LOCK_EX);
  taken_ = !file_ && errno == EWOULDBLOCK;
}

void PlaceLock::release() {
  if (file_) ::unlink(path_.c_str());
  file_.reset();
}

}  // namespace vprocfs
