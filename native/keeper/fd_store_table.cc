#include "keeper/fd_store_table.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/descriptors.h"
#include "keeper/store.h"
#include "state/keeper_protocol.h"

namespace vprocfs {
namespace {

static_assert(StoredFdsPacket::kMaxFds <= kMaxPassedFds);

StoreName stored_as(FdKind kind, uint64_t key) {
  return {StoreKind::kFdStore, static_cast<uint32_t>(kind), key};
}

}  // namespace

bool FdStoreTable::open(int table_fd) {
  if (!table_.open(table_fd >= 0 ? Fd(table_fd) : Fd(), "vprocfs-fd-store",
                   kCapacity * sizeof(Place))) {
    return false;
  }
  places_ = table_.as<Place>();
  // An earlier version has kept both.
  for (size_t i = 0; i < kCapacity; ++i) {
    Place& place = places_[i];
    const bool superseded =
        place.fd != 0 && place.kind == FdKind::kRuntime &&
        std::any_of(places_, places_ + kCapacity, [&place](const Place& other) {
          return other.fd != 0 && other.key == place.key && other.kind != place.kind;
        });
    if (!superseded) continue;
    ::close(place.fd);
    place = {};
  }
  return true;
}

void FdStoreTable::attach(Store& store) {
  store_ = &store;
  store.take_all(StoreKind::kFdStore, [this](const StoreName& name, Fd fd) {
    keep(name.key, static_cast<FdKind>(name.which), std::move(fd));
  });
  for_each([&store](uint64_t key, FdKind kind, int fd) { store.put(stored_as(kind, key), fd); });
}

FdStoreTable::Place* FdStoreTable::find(uint64_t key) const {
  for (size_t i = 0; places_ != nullptr && i < kCapacity; ++i) {
    if (places_[i].fd != 0 && places_[i].key == key) return &places_[i];
  }
  return nullptr;
}

bool FdStoreTable::keep(uint64_t key, FdKind kind, Fd fd) {
  if (places_ == nullptr || !fd || kind == FdKind::kNone) return false;
  Place* place = find(key);
  if (place == nullptr) {
    place = std::find_if(places_, places_ + kCapacity, [](const Place& p) { return p.fd == 0; });
  }
  if (place == places_ + kCapacity) return false;
  const Place was = *place;
  // Of no use beside what came by it.
  if (kind == FdKind::kRuntime && was.fd != 0 && was.kind != FdKind::kRuntime) {
    if (store_ != nullptr) store_->remove(stored_as(kind, key));
    return true;
  }
  // It takes over the old one's number: the caller tells by the numbers how many are left.
  if (was.fd != 0 && ::dup3(fd.get(), was.fd, O_CLOEXEC) == was.fd) fd = Fd(was.fd);
  *place = {key, kind, fd.release()};
  if (store_ != nullptr) store_->put(stored_as(kind, key), place->fd);
  if (was.fd == 0) return true;
  if (store_ != nullptr && was.kind != kind) {
    store_->remove(stored_as(was.kind, key));
  }
  if (was.fd != place->fd) ::close(was.fd);
  return true;
}

void FdStoreTable::forget(uint64_t key) {
  Place* place = find(key);
  if (place == nullptr) return;
  if (store_ != nullptr) store_->remove(stored_as(place->kind, key));
  ::close(place->fd);
  *place = {};
}

size_t FdStoreTable::size() const {
  size_t n = 0;
  for_each([&n](uint64_t, FdKind, int) { ++n; });
  return n;
}

bool FdStoreTable::send(int control, uint64_t from) const {
  StoredFdsPacket packet;
  int fds[StoredFdsPacket::kMaxFds];
  for (size_t i = from; places_ != nullptr && i < kCapacity; ++i) {
    if (places_[i].fd == 0) continue;
    if (packet.count == StoredFdsPacket::kMaxFds) {
      packet.next = i;
      break;
    }
    packet.tags[packet.count] = {places_[i].key, static_cast<uint32_t>(places_[i].kind), 0};
    fds[packet.count++] = places_[i].fd;
  }
  return send_with(control, &packet, sizeof(packet), fds, packet.count, MSG_DONTWAIT) ==
         static_cast<ssize_t>(sizeof(packet));
}

void FdStoreTable::outlive(bool execve) const {
  const int flags = execve ? 0 : FD_CLOEXEC;
  ::fcntl(table_.fd(), F_SETFD, flags);
  for_each([flags](uint64_t, FdKind, int fd) { ::fcntl(fd, F_SETFD, flags); });
}

}  // namespace vprocfs
