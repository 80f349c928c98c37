#include "engine/kept_socket.h"

#include <algorithm>
#include <utility>

#include "base/fnv.h"

namespace vprocfs {
namespace {

/// Others count their keys from 1 on.
constexpr uint64_t kFirstKey = uint64_t{1} << 63;

}  // namespace

KeptSocket::KeptSocket(std::string_view address)
    : key_(address.empty() ? 0 : kFirstKey | fnv(kFnvSeed, address)) {}

void KeptSocket::adopt(FdStore* store, std::vector<FdStore::Entry>& stored) {
  store_ = store;
  const auto others = std::partition(stored.begin(), stored.end(), [](const FdStore::Entry& one) {
    return one.tag.kind != FdKind::kMetricsSocket;
  });
  for (auto one = others; one != stored.end(); ++one) {
    if (one->tag.key == key_) {
      left_ = std::move(one->fd);
    } else {
      store_->remove(one->tag.key);
    }
  }
  stored.erase(others, stored.end());
}

void KeptSocket::keep(int fd) const {
  if (store_ != nullptr && key_ != 0) store_->put({key_, FdKind::kMetricsSocket}, fd);
}

}  // namespace vprocfs
