#pragma once

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdint>

namespace vprocfs {

/// How one ABI numbers the calls.
struct Abi {
  uint32_t arch;
  int sysinfo, affinity, syslog;
  bool is_32bit;
};

#if defined(__x86_64__)
// Bit 30 marks x32 calls. Their callers lay out memory as 64-bit ones do.
inline constexpr int kX32Bit = 0x40000000;
inline constexpr Abi kAbis[] = {
    {AUDIT_ARCH_X86_64, SYS_sysinfo, SYS_sched_getaffinity, SYS_syslog, false},
    {AUDIT_ARCH_X86_64, kX32Bit | 99, kX32Bit | 204, kX32Bit | 103, false},
    {AUDIT_ARCH_I386, 116, 242, 103, true}};
#elif defined(__aarch64__)
inline constexpr Abi kAbis[] = {
    {AUDIT_ARCH_AARCH64, SYS_sysinfo, SYS_sched_getaffinity, SYS_syslog, false},
    {AUDIT_ARCH_ARM, 116, 242, 103, true}};
#elif defined(__riscv) && __riscv_xlen == 64
inline constexpr Abi kAbis[] = {
    {AUDIT_ARCH_RISCV64, SYS_sysinfo, SYS_sched_getaffinity, SYS_syslog, false},
    {AUDIT_ARCH_RISCV32, 179, 123, 116, true}};
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
inline constexpr Abi kAbis[] = {
    {AUDIT_ARCH_PPC64LE, SYS_sysinfo, SYS_sched_getaffinity, SYS_syslog, false}};
#elif defined(__s390x__)
inline constexpr Abi kAbis[] = {
    {AUDIT_ARCH_S390X, SYS_sysinfo, SYS_sched_getaffinity, SYS_syslog, false},
    {AUDIT_ARCH_S390, 116, 240, 103, true}};
#else
inline constexpr Abi kAbis[] = {{0, -1, -1, -1, false}};
#endif

/// Whether a call is syslog(2), in any ABI.
inline bool is_syslog(const seccomp_data& data) {
  for (const Abi& abi : kAbis) {
    if (abi.arch == data.arch && abi.syslog == data.nr) return true;
  }
  return false;
}

/// Whether `fd` is a seccomp notify descriptor. It has no call with the id 0, so the kernel returns
/// ENOENT; for any other descriptor it returns ENOTTY or EINVAL.
inline bool is_notify_descriptor(int fd) {
  uint64_t no_call = 0;
  return ::ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &no_call) == 0 || errno == ENOENT;
}

/// Whether a call still waits for its answer. False: its caller was killed or interrupted, or the
/// call was answered.
inline bool still_waits(int listener_fd, uint64_t id) {
  return ::ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0 || errno != ENOENT;
}

}  // namespace vprocfs
