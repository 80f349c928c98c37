#include "fuse/reply.h"

#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "fuse/protocol.h"

namespace vprocfs {
namespace {

/// The kernel looks up the page of each part, which takes longer than to copy what fits into one.
constexpr size_t kPage = 4096;

void join(const iovec* parts, int count, uint8_t* to) {
  for (int i = 0; i < count; ++i) {
    std::memcpy(to, parts[i].iov_base, parts[i].iov_len);
    to += parts[i].iov_len;
  }
}

template <typename T>
iovec part_of(const T& value) {
  return {const_cast<T*>(&value), sizeof(value)};
}

}  // namespace

bool Reply::write_message(uint64_t unique, int code, std::initializer_list<iovec> parts) const {
  constexpr size_t kMaxParts = 2;
  fuse_out_header header{};
  header.len = sizeof(header);
  header.error = code;
  header.unique = unique;
  iovec all[kMaxParts + 1] = {part_of(header)};
  int count = 1;
  for (const iovec& part : parts) {
    if (part.iov_len == 0) continue;
    header.len += static_cast<uint32_t>(part.iov_len);
    all[count++] = part;
  }
  alignas(kPage) std::array<uint8_t, kPage> page;
  if (count > 1 && header.len <= page.size()) {
    join(all, count, page.data());
    all[0] = {page.data(), header.len};
    count = 1;
  }
  for (;;) {
    if (::writev(fd_, all, count) >= 0) return true;
    if (errno != EINTR) return false;
  }
}

bool Reply::send(uint64_t unique, int error, const void* bytes, size_t size) const {
  return write_message(unique, error, {iovec{const_cast<void*>(bytes), size}});
}

bool Reply::notify_resend() const { return write_message(0, kFuseNotifyResend, {}); }

void Reply::notify_forget(uint64_t nodeid) const {
  fuse_notify_inval_inode_out what{};
  what.ino = nodeid;
  write_message(0, FUSE_NOTIFY_INVAL_INODE, {part_of(what)});
}

void Reply::notify_poll(uint64_t poll_handle) const {
  const fuse_notify_poll_wakeup_out what{poll_handle};
  write_message(0, FUSE_NOTIFY_POLL, {part_of(what)});
}

void Reply::notify_grow(uint64_t nodeid, uint64_t size, char last) const {
  fuse_notify_store_out store{};
  store.nodeid = nodeid;
  store.offset = size - 1;
  store.size = 1;
  write_message(0, FUSE_NOTIFY_STORE, {part_of(store), part_of(last)});
}

}  // namespace vprocfs
