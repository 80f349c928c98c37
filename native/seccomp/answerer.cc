#include "seccomp/answerer.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
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

Answerer::Answerer(Options options, Registry& registry) : options_(options), registry_(registry) {}

Answer Answerer::answer(const seccomp_notif& n, std::shared_ptr<Container>& who) const {
  const Call call = call_of(n.data);
  const bool wants_mask = call == Call::kAffinity64 || call == Call::kAffinity32;
  if (call == Call::kOther || (wants_mask && !options_.affinity)) return {};
  auto found = registry_.by_process(static_cast<pid_t>(n.pid));
  Answer later;
  later.later = true;
  if (!found) return later;
  if (!found.value()) return {};
  who = std::move(found.value());
  auto facts = who->call_facts(boottime_us(), options_.tick_us);
  if (!facts) return later;
  if (wants_mask) return affinity(n, facts.value().shown_cpus);
  const SysinfoFigures& figures = facts.value().sysinfo;
  Answer out;
  out.is_32bit = call == Call::kSysinfo32;
  out.bytes = out.is_32bit
                  ? encode_sysinfo32(figures, static_cast<uint32_t>(::sysconf(_SC_PAGESIZE)))
                  : encode_sysinfo64(figures);
  out.repeats = true;
  return out;
}

Answer Answerer::affinity(const seccomp_notif& n, const CpuSet& shown) const {
  const auto of = static_cast<pid_t>(n.data.args[0]);
  const auto room = static_cast<uint32_t>(n.data.args[1]);
  if (!kLittleEndian) return {};
  // The numbers of other processes are those of the caller's PID namespace.
  if (of != 0) {
    auto own = read_inner_pid(options_.procfs_fd, static_cast<pid_t>(n.pid));
    if (!own || own.value() != of) return {};
  }
  Mask real{};
  // How much it fills depends on the caller's room. What is refused is for the kernel to refuse.
  const size_t asked = std::min<size_t>(room, real.size());
  const long used = ::syscall(SYS_sched_getaffinity, n.pid, asked, real.data());
  if (used <= 0) return {};
  // Whoever was bound to some CPUs, by a cpuset or by itself, is told so by the kernel.
  Mask mask{};
  for (const uint32_t cpu : shown.ids()) {
    if (!has(real, cpu)) return {};
    mask[cpu / CHAR_BIT] = static_cast<uint8_t>(mask[cpu / CHAR_BIT] | 1u << (cpu % CHAR_BIT));
  }
  if (shown.empty() || count(real) <= shown.size()) return {};
  Answer out;
  out.bytes.assign(mask.begin(), mask.begin() + used);
  out.argument = 2;
  out.is_32bit = call_of(n.data) == Call::kAffinity32;
  out.value = used;
  return out;
}

}  // namespace vprocfs
