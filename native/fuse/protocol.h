#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/cpu_laps.h"

namespace vprocfs {

class Container;

// What newer kernels speak and Debian 12's <linux/fuse.h> (7.38) does not name yet.
inline constexpr uint64_t kFuseHasResend = uint64_t{1} << 39;       ///< FUSE_HAS_RESEND, 7.40
inline constexpr uint64_t kFuseRequestTimeout = uint64_t{1} << 42;  ///< FUSE_REQUEST_TIMEOUT, 7.43
inline constexpr uint64_t kFuseUniqueResend = uint64_t{1} << 63;    ///< FUSE_UNIQUE_RESEND, 7.40
inline constexpr int kFuseNotifyResend = 7;                         ///< FUSE_NOTIFY_RESEND, 7.40

/// The longest request we take: what is written is a trigger of a few words.
inline constexpr size_t kMaxWrite = 4096;
inline constexpr size_t kRequestBytes = 64 * 1024;

/// What answering a request needs to know of it.
struct RequestInfo {
  fuse_in_header header{};
  uint64_t taken_ns = 0;  ///< when it was taken from the kernel, CLOCK_MONOTONIC
};

/// A request as the kernel sent it. Valid while the worker's buffer is.
class Request {
 public:
  /// `taken_ns`: when it was taken from the kernel, on CLOCK_MONOTONIC. `laps`: of the thread that
  /// works on it; nullptr: nobody pays.
  Request(const uint8_t* bytes, size_t size, uint64_t taken_ns = 0, CpuLaps* laps = nullptr)
      : bytes_(bytes), size_(size), taken_ns_(taken_ns), laps_(laps) {}

  const fuse_in_header& header() const { return *reinterpret_cast<const fuse_in_header*>(bytes_); }
  /// The unique without the resend bit: the same request, whoever answers it.
  uint64_t identity() const { return header().unique & ~kFuseUniqueResend; }
  bool resent() const { return (header().unique & kFuseUniqueResend) != 0; }

  const uint8_t* bytes() const { return bytes_; }
  size_t size() const { return size_; }
  const uint8_t* payload() const { return bytes_ + sizeof(fuse_in_header); }
  size_t payload_size() const { return size_ - sizeof(fuse_in_header); }
  uint64_t taken_ns() const { return taken_ns_; }
  CpuLaps* laps() const { return laps_; }
  /// The container that pays for it, where that is known already; of a node of no container it is
  /// the caller's.
  const std::shared_ptr<Container>* payer() const { return payer_; }
  /// The same request, valid only while `payer` is there, too.
  Request paid_by(const std::shared_ptr<Container>& payer) const {
    Request paid = *this;
    paid.payer_ = &payer;
    return paid;
  }
  /// A copy marked as handled on a thread that all tenants share, or in the turn of another tenant:
  /// that thread must then leave the queue of the request's own tenant alone.
  Request on_shared_thread() const {
    Request request = *this;
    request.on_shared_thread_ = true;
    return request;
  }
  bool is_on_shared_thread() const { return on_shared_thread_; }
  /// The same request, handled on a thread that takes no requests: after it, that thread may
  /// continue with whatever its tenant has.
  Request aside() const {
    Request request = *this;
    request.aside_ = true;
    return request;
  }
  bool is_aside() const { return aside_; }
  RequestInfo info() const { return {header(), taken_ns_}; }

  /// The operation's argument, or nullptr when the request is too short for it.
  template <typename T>
  const T* arg() const {
    return payload_size() >= sizeof(T) ? reinterpret_cast<const T*>(payload()) : nullptr;
  }

 private:
  const uint8_t* bytes_;
  size_t size_;
  uint64_t taken_ns_;
  CpuLaps* laps_;
  const std::shared_ptr<Container>* payer_ = nullptr;
  bool on_shared_thread_ = false;
  bool aside_ = false;
};

}  // namespace vprocfs
