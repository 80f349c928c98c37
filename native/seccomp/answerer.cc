#include "seccomp/answerer.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "container/gather.h"
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

/// The kernel's masks are arrays of long, which a Mask equals on little-endian machines only.
constexpr bool kLittleEndian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

/// How many calls the part of the log counts as that a call reads through but does not return.
uint32_t calls_for_reading_through(const KernelLogs& logs, ContainerId id, const SyslogCall& call) {
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

Answerer::Answerer(Options options, Registry& registry)
    : options_(std::move(options)), registry_(registry), access_(options_.procfs_fd) {}

Result<Answerer::Found> Answerer::find(pid_t pid, bool wants_facts) const {
  auto who = registry_.by_process(pid);
  if (!who) return who.error();
  Found found{std::move(who.value()), std::nullopt};
  if (found.who && wants_facts) {
    found.facts = found.who->call_facts(boottime_us(), options_.tick_us);
  }
  return found;
}

Result<Answerer::Found> Answerer::find_before_long(pid_t pid, bool wants_facts) const {
  const PromptResolver& prompt = registry_.prompt();
  const uint64_t tenant = prompt.resolver().outermost_namespace(pid);
  if (tenant == 0) return find(pid, wants_facts);
  auto found = prompt.ask<Result<Found>>(
      Attempts::tenant(tenant), [this, pid, wants_facts] { return find(pid, wants_facts); });
  return found ? std::move(*found) : Error{EAGAIN, "its container does not answer"};
}

CallAnswer Answerer::answer(const seccomp_notif& n, int listener_fd, bool is_patient,
                            std::shared_ptr<Container>& who) const {
  const auto [call, is_32bit] = call_of(n.data);
  const bool wants_mask = call == Call::kAffinity;
  if (call == Call::kOther || (wants_mask && !options_.affinity)) return {};
  const auto pid = static_cast<pid_t>(n.pid);
  const bool wants_facts = call != Call::kSyslog;
  auto found = is_patient ? find(pid, wants_facts) : find_before_long(pid, wants_facts);
  CallAnswer later;
  later.kind = CallAnswer::Kind::kLater;
  if (!found) return later;
  if (!found.value().who) return {};
  who = std::move(found.value().who);
  if (!wants_facts) return syslog(n, listener_fd, *who);
  if (!*found.value().facts) return later;
  const uint64_t now_us = boottime_us();
  Container::CallFacts& facts = found.value().facts->value();
  if (wants_mask) return affinity(n, facts.shown_cpus);
  SysinfoFigures& figures = facts.sysinfo;
  // As /proc/uptime, which other PID namespaces in the container's cgroup have of their own.
  const PidNamespaceClock clock = registry_.clock_of(*who, static_cast<pid_t>(n.pid));
  if (!who->is_first(clock)) {
    figures.uptime_s = uptime_seconds(uptime_of({now_us, clock.init_start_us, clock.offset_us}));
  }
  CallAnswer out;
  out.kind = CallAnswer::Kind::kWrite;
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
  // Checked after the caller's files were read by its PID: no other process had the PID by then.
  if (!still_waits(listener_fd, n.id)) {
    out.kind = CallAnswer::Kind::kReply;
    out.reply = Verdict::fails(EINTR);
    return out;
  }
  if (refused) return out;
  // A machine's log is there since its boot. If there is no room for one, the container's is empty.
  if (call.action >= kSyslogRead && call.action <= kSyslogUnread) {
    options_.logs->begin(description.id, description.tenant_identity,
                         [&] { return options_.banner(description); });
  }
  out.extra_calls = calls_for_reading_through(*options_.logs, description.id, call);
  const SyslogAnswer found = answer_syslog(*options_.logs, description.id, call);
  out.is_32bit = call_of(n.data).is_32bit;
  out.argument = 1;
  out.log = call;
  switch (found.kind) {
    case SyslogAnswer::Kind::kValue:
      out.kind = CallAnswer::Kind::kReply;
      out.reply = Verdict{Verdict::Kind::kReply, found.value, found.error};
      break;
    case SyslogAnswer::Kind::kText:
      out.kind = CallAnswer::Kind::kLog;
      break;
    case SyslogAnswer::Kind::kWait:
      out.kind = CallAnswer::Kind::kWait;
      break;
  }
  return out;
}

CallAnswer Answerer::affinity(const seccomp_notif& n, const CpuSet& shown) const {
  const auto of = static_cast<pid_t>(n.data.args[0]);
  const size_t room = static_cast<uint32_t>(n.data.args[1]);
  const bool is_32bit = call_of(n.data).is_32bit;
  if (!kLittleEndian) return {};
  // The caller gives the PID of its own namespace; only the caller itself is answered.
  if (of != 0) {
    auto own = read_inner_pid(options_.procfs_fd, static_cast<pid_t>(n.pid));
    if (!own || own.value() != of) return {};
  }
  Mask real{};
  // The kernel's result depends on the room that the caller has. A call that the kernel refuses
  // here is passed to it, which refuses it again. A 32-bit caller's room may end within a word of
  // ours (compat_sys_sched_getaffinity() of kernel/compat.c).
  if (is_32bit && room % sizeof(uint32_t) != 0) return {};
  const size_t words = is_32bit ? (room + sizeof(long) - 1) / sizeof(long) * sizeof(long) : room;
  const long got =
      ::syscall(SYS_sched_getaffinity, n.pid, std::min(words, real.size()), real.data());
  if (got <= 0) return {};
  const auto used = static_cast<ptrdiff_t>(std::min(static_cast<size_t>(got), room));
  if (std::any_of(real.begin() + used, real.end(), [](uint8_t cpus) { return cpus != 0; })) {
    return {};
  }
  // A caller that a cpuset or its own choice keeps off shown CPUs gets the kernel's mask.
  Mask mask{};
  for (const uint32_t cpu : shown.ids()) {
    if (!has(real, cpu)) return {};
    mask[cpu / CHAR_BIT] = static_cast<uint8_t>(mask[cpu / CHAR_BIT] | 1u << (cpu % CHAR_BIT));
  }
  if (shown.empty() || count(real) <= shown.size()) return {};
  CallAnswer out;
  out.kind = CallAnswer::Kind::kWrite;
  out.bytes.assign(mask.begin(), mask.begin() + used);
  out.argument = 2;
  out.is_32bit = is_32bit;
  out.value = used;
  return out;
}

}  // namespace vprocfs
