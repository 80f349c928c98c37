#include "seccomp/answerer.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "seccomp/abi.h"
#include "seccomp/call.h"
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

/// What a call looks through without returning it counts too.
uint32_t calls_for_looking_through(const KernelLogs& logs, ContainerId id, const SyslogCall& call) {
  constexpr size_t kBytesOfCall = 1024;
  size_t returned = 0;
  if (call.action == kSyslogReadAll || call.action == kSyslogReadClear) {
    returned = static_cast<size_t>(std::max(call.bytes, 0));
  } else if (call.action != kSyslogUnread) {
    return 0;
  }
  const size_t used = logs.used_bytes(id);
  return used <= returned ? 0 : static_cast<uint32_t>((used - returned) / kBytesOfCall);
}

}  // namespace

seccomp_notif_resp Verdict::response(uint64_t id) const {
  seccomp_notif_resp out{};
  out.id = id;
  if (kind == Kind::kPass) {
    out.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else if (kind == Kind::kReleaseFromMonitor) {
    // EINVAL for flags that it does not know (seccomp_notify_send() of kernel/seccomp.c).
    out.flags = ~0u;
  } else {
    out.val = error == 0 ? value : 0;
    out.error = -error;
  }
  return out;
}

Verdict fallback_verdict(const seccomp_data& data) {
  return is_syslog(data) ? Verdict::fails(EPERM) : Verdict{};
}

bool still_waits(int listener_fd, uint64_t id) {
  return ::ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0 || errno != ENOENT;
}

Answerer::Answerer(Options options, Registry& registry)
    : options_(std::move(options)), registry_(registry), access_(options_.procfs_fd) {}

CallAnswer Answerer::answer(const seccomp_notif& n, int listener_fd,
                            std::shared_ptr<Container>& who) const {
  const auto [call, is_32bit] = call_of(n.data);
  const bool wants_mask = call == Call::kAffinity;
  if (call == Call::kOther || (wants_mask && !options_.affinity)) return {};
  auto found = registry_.by_process(static_cast<pid_t>(n.pid));
  CallAnswer later;
  later.later = true;
  if (!found) return later;
  if (!found.value()) return {};
  who = std::move(found.value());
  if (call == Call::kSyslog) return syslog(n, listener_fd, *who);
  auto facts = who->call_facts(boottime_us(), options_.tick_us);
  if (!facts) return later;
  if (wants_mask) return affinity(n, facts.value().shown_cpus);
  const SysinfoFigures& figures = facts.value().sysinfo;
  CallAnswer out;
  out.is_32bit = is_32bit;
  out.bytes = is_32bit ? encode_sysinfo32(figures, static_cast<uint32_t>(::sysconf(_SC_PAGESIZE)))
                       : encode_sysinfo64(figures);
  out.repeats = true;
  return out;
}

CallAnswer Answerer::syslog(const seccomp_notif& n, int listener_fd, const Container& who) const {
  CallAnswer out;
  if (options_.logs == nullptr) return out;
  const SyslogCall call = syslog_of(n.data);
  const ContainerDescription& description = who.description();
  LogCaller caller;
  caller.pid = static_cast<pid_t>(n.pid);
  const bool refused = needs_syslog_capability(call.action, access_.is_restricted()) &&
                       !access_.has_syslog(caller, description);
  // Asked after its number was looked at: until here it was nobody else's.
  if (!still_waits(listener_fd, n.id)) {
    out.reply = Verdict::fails(EINTR);
    return out;
  }
  if (refused) return out;
  // The kernel's has been there since it began. Where there is no room for one it stays empty.
  if (call.action >= kSyslogRead && call.action <= kSyslogUnread) {
    options_.logs->begin(description.id, description.tenant,
                         [&] { return options_.banner(description); });
  }
  out.calls = calls_for_looking_through(*options_.logs, description.id, call);
  const SyslogAnswer found = answer_syslog(*options_.logs, description.id, call);
  out.is_32bit = call_of(n.data).is_32bit;
  out.argument = 1;
  out.waits = found.kind == SyslogAnswer::Kind::kWait;
  if (found.kind == SyslogAnswer::Kind::kValue) {
    out.reply = Verdict{Verdict::Kind::kReply, found.value, found.error};
  } else {
    out.log = call;
  }
  return out;
}

CallAnswer Answerer::affinity(const seccomp_notif& n, const CpuSet& shown) const {
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
  CallAnswer out;
  out.bytes.assign(mask.begin(), mask.begin() + used);
  out.argument = 2;
  out.is_32bit = call_of(n.data).is_32bit;
  out.value = used;
  return out;
}

}  // namespace vprocfs
