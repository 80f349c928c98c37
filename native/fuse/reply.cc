#include "fuse/reply.h"

#include <sys/uio.h>

#include <cerrno>

#include "fuse/protocol.h"

namespace vprocfs {
namespace {

bool write_all(int fd, const iovec* parts, int count) {
  for (;;) {
    if (::writev(fd, parts, count) >= 0) return true;
    if (errno != EINTR) return false;
  }
}

}  // namespace

bool Reply::send(uint64_t unique, int error, const void* bytes, size_t size) const {
  fuse_out_header header{};
  header.len = static_cast<uint32_t>(sizeof(header) + size);
  header.error = error;
  header.unique = unique;
  const iovec parts[2] = {{&header, sizeof(header)}, {const_cast<void*>(bytes), size}};
  return write_all(fd_, parts, size == 0 ? 1 : 2);
}

bool Reply::notify_resend() const {
  fuse_out_header header{};
  header.len = sizeof(header);
  header.error = kFuseNotifyResend;
  const iovec part{&header, sizeof(header)};
  return write_all(fd_, &part, 1);
}

void Reply::notify_forget(uint64_t nodeid) const {
  fuse_notify_inval_inode_out what{};
  what.ino = nodeid;
  fuse_out_header header{};
  header.error = FUSE_NOTIFY_INVAL_INODE;
  header.len = sizeof(header) + sizeof(what);
  const iovec parts[2] = {{&header, sizeof(header)}, {&what, sizeof(what)}};
  write_all(fd_, parts, 2);
}

void Reply::notify_poll(uint64_t poll_handle) const {
  const fuse_notify_poll_wakeup_out what{poll_handle};
  fuse_out_header header{};
  header.error = FUSE_NOTIFY_POLL;
  header.len = sizeof(header) + sizeof(what);
  const iovec parts[2] = {{&header, sizeof(header)},
                          {const_cast<fuse_notify_poll_wakeup_out*>(&what), sizeof(what)}};
  write_all(fd_, parts, 2);
}

void Reply::notify_grow(uint64_t nodeid, uint64_t size, char last) const {
  fuse_notify_store_out store{};
  store.nodeid = nodeid;
  store.offset = size - 1;
  store.size = 1;
  fuse_out_header header{};
  header.error = FUSE_NOTIFY_STORE;
  header.len = sizeof(header) + sizeof(store) + 1;
  const iovec parts[3] = {{&header, sizeof(header)}, {&store, sizeof(store)}, {&last, 1}};
  write_all(fd_, parts, 3);
}

}  // namespace vprocfs
