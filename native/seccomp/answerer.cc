#include "seccomp/answerer.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <utility>

#include "source/process.h"

namespace vprocfs {
namespace {

/// Room for the masks of every kernel (NR_CPUS is 8192 at most).
constexpr size_t kMaskBytes = 1024;
using Mask = std::array<uint8_t, kMaskBytes>;

bool has(const Mask& mask, uint32_t cpu) {
  return cpu / CHAR_BIT < mask.size() && (mask[cpu / CHAR_BIT] >> (cpu % CHAR_BIT) & 1) != 0;
}

size_t count(const Mask& mask) {
  size_t n = 0;
  for (const uint8_t byte : mask) n += static_cast<size_t>(__builtin_popcount(byte));
  return n;
}

/// The kernel's masks are arrays of long: these are theirs where bytes run as bits do.
constexpr bool kLittleEndian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

bool still_waits(int listener_fd, uint64_t id) {
  return ::ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/// Pointers of 32-bit callers have 32 bits, whatever stands above them.
uint64_t pointer_of(const seccomp_data& data, size_t argument, bool is_32bit) {
  return is_32bit ? static_cast<uint32_t>(data.args[argument]) : data.args[argument];
}

}  // namespace

seccomp_notif_resp Verdict::response(uint64_t id) const {
  seccomp_notif_resp out{};
  out.id = id;
  if (kind == Kind::kPass) {
    out.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else {
    out.val = error == 0 ? value : 0;
    out.error = -error;
  }
  return out;
}

Answerer::Answerer(Options options, Registry& registry, CallCounters& counters)
    : options_(options), registry_(registry), counters_(counters) {}

Verdict Answerer::answer(const Question& question, std::shared_ptr<Container>& who) const {
  const seccomp_notif& n = question.notification;
  const Verdict pass;
  const Call call = call_of(n.data);
  const bool wants_mask = call == Call::kAffinity64 || call == Call::kAffinity32;
  if (call == Call::kOther || (wants_mask && !options_.affinity)) return pass;
  auto found = registry_.by_process(static_cast<pid_t>(n.pid));
  if (!found || !found.value()) return pass;
  who = std::move(found.value());
  auto facts = who->call_facts(boottime_us(), options_.tick_us);
  if (!facts) return pass;
  if (wants_mask) return affinity(question, facts.value().shown_cpus);
  const bool is_32bit = call == Call::kSysinfo32;
  const SysinfoFigures& figures = facts.value().sysinfo;
  const auto bytes = is_32bit
                         ? encode_sysinfo32(figures, static_cast<uint32_t>(::sysconf(_SC_PAGESIZE)))
                         : encode_sysinfo64(figures);
  return write(question, pointer_of(n.data, 0, is_32bit), bytes.data(), bytes.size(), 0);
}

Verdict Answerer::affinity(const Question& question, const CpuSet& shown) const {
  const seccomp_notif& n = question.notification;
  const Verdict pass;
  const bool is_32bit = call_of(n.data) == Call::kAffinity32;
  const auto of = static_cast<pid_t>(n.data.args[0]);
  const auto room = static_cast<uint32_t>(n.data.args[1]);
  if (!kLittleEndian) return pass;
  // The numbers of other processes are those of the caller's PID namespace.
  if (of != 0) {
    auto own = read_inner_pid(options_.procfs_fd, static_cast<pid_t>(n.pid));
    if (!own || own.value() != of) return pass;
  }
  Mask real{};
  // How much it fills depends on the caller's room. What is refused is for the kernel to refuse.
  const size_t asked = std::min<size_t>(room, real.size());
  const long used = ::syscall(SYS_sched_getaffinity, n.pid, asked, real.data());
  if (used <= 0) return pass;
  // Whoever was bound to some CPUs, by a cpuset or by itself, is told so by the kernel.
  Mask mask{};
  for (const uint32_t cpu : shown.ids()) {
    if (!has(real, cpu)) return pass;
    mask[cpu / CHAR_BIT] = static_cast<uint8_t>(mask[cpu / CHAR_BIT] | 1u << (cpu % CHAR_BIT));
  }
  if (shown.empty() || count(real) <= shown.size()) return pass;
  return write(question, pointer_of(n.data, 2, is_32bit), mask.data(), static_cast<size_t>(used),
               used);
}

Verdict Answerer::write(const Question& question, uint64_t address, const void* data, size_t bytes,
                        int64_t value) const {
  const seccomp_notif& n = question.notification;
  // Opened before it is asked whether the caller still waits: what it leads to then is the caller's
  // memory for good, whoever gets its number later. process_vm_writev(2) goes by the number.
  Fd opened;
  if (question.memory_fd < 0) {
    char path[32];
    std::snprintf(path, sizeof path, "%u/mem", n.pid);
    opened = Fd(::openat(options_.procfs_fd, path, O_RDWR | O_CLOEXEC));
  }
  const int memory = question.memory_fd < 0 ? opened.get() : question.memory_fd;
  Verdict out;
  if (!still_waits(question.listener_fd, n.id)) {
    counters_.gone.fetch_add(1, std::memory_order_relaxed);
    out.kind = Verdict::Kind::kNone;
    return out;
  }
  if (memory < 0) return out;
  if (!question.claim()) {
    out.kind = Verdict::Kind::kNone;
    return out;
  }
  out.kind = Verdict::Kind::kReply;
  out.value = value;
  const bool in_reach = address <= static_cast<uint64_t>(INT64_MAX) - bytes;
  const ssize_t written =
      in_reach ? ::pwrite(memory, data, bytes, static_cast<off_t>(address)) : -1;
  if (written != static_cast<ssize_t>(bytes)) {
    counters_.faults.fetch_add(1, std::memory_order_relaxed);
    out.error = EFAULT;
  }
  return out;
}

}  // namespace vprocfs
