#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace vprocfs {

/// The only writer to the kernel. Each call is one writev(2); thread-safe, borrows the descriptor.
class Reply {
 public:
  explicit Reply(int fuse_fd) : fd_(fuse_fd) {}

  /// True unless the requester is gone (ENOENT: interrupted or killed before the answer).
  bool error(uint64_t unique, int errno_value) const {
    return send(unique, -errno_value, nullptr, 0);
  }
  bool data(uint64_t unique, const void* bytes, size_t size) const {
    return send(unique, 0, bytes, size);
  }
  template <typename T>
  bool value(uint64_t unique, const T& v) const {
    return send(unique, 0, &v, sizeof(v));
  }

  /// FUSE_NOTIFY_RESEND: resend what a dead worker had taken. False where the kernel cannot.
  bool notify_resend() const;
  /// FUSE_NOTIFY_STORE of one byte at `size` - 1: the kernel's idea of a file's size grows to
  /// `size`. May block while the page is being read, so never call it from a thread that answers
  /// READs.
  void notify_grow(uint64_t nodeid, uint64_t size, char last) const;

  /// FUSE_NOTIFY_INVAL_INODE: the kernel forgets size and pages of a file. May block likewise.
  void notify_forget(uint64_t nodeid) const;

  /// FUSE_NOTIFY_POLL: who polls for a file is to ask again. Never blocks.
  void notify_poll(uint64_t poll_handle) const;

 private:
  bool send(uint64_t unique, int error, const void* bytes, size_t size) const;
  /// `unique` 0: `code` is that of a notice.
  bool write_message(uint64_t unique, int code, std::initializer_list<iovec> parts) const;

  int fd_;
};

}  // namespace vprocfs
