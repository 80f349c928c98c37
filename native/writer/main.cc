// vprocfs-writer: writes answers into the memory of those who called, for one agent
// (seccomp/desk.h).
//
// It may block there beyond any signal. Hence it is a process of its own, and while it is in there
// it holds nothing that others need: the notify descriptor is borrowed from the agent for the
// moments in which nothing can block.

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/clock.h"
#include "base/fd.h"
#include "base/priority.h"
#include "seccomp/pending_calls.h"
#include "source/process.h"

namespace vprocfs {
namespace {

/// How long it waits for the next call of the same source before the agent waits for all of them.
constexpr timespec kNextWithin{0, 500'000};

/// A duplicate of one of the agent's descriptors. None where the kernel has no pidfd_getfd(2)
/// (before Linux 5.6), or refuses it (Yama).
Fd borrow(int fd) {
  return Fd(static_cast<int>(::syscall(SYS_pidfd_getfd, kWriterAgentFd, fd, 0)));
}

Fd open_memory(const Desk& desk) {
  if (desk.memory_fd >= 0) return borrow(desk.memory_fd);
  char path[32];
  std::snprintf(path, sizeof path, "%u/mem", desk.notification.pid);
  return Fd(::openat(kWriterProcFd, path, O_RDWR | O_CLOEXEC));
}

bool still_waits(const Fd& listener, uint64_t id) {
  return ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/// One answer into one caller's memory. `listener` is closed while that may block for good.
Desk::End write_answer(Desk& desk, const uint8_t* text, Fd& listener) {
  // Waits at most for a killable lock: with a signal it ends, and the descriptor with it.
  const Fd memory = open_memory(desk);
  // Asked after it was opened: what it leads to then is the caller's memory for good, whoever gets
  // its number later.
  if (!listener) listener = borrow(desk.listener_fd);
  if (!listener) return Desk::kUnwritable;
  if (!still_waits(listener, desk.notification.id)) return Desk::kGone;
  if (!memory) return Desk::kUnwritable;
  const uint64_t given = desk.notification.data.args[desk.argument];
  const uint64_t address = desk.is_32bit != 0 ? static_cast<uint32_t>(given) : given;
  if (address > static_cast<uint64_t>(INT64_MAX) - desk.bytes) return Desk::kFault;
  listener.reset();
  const ssize_t n = ::pwrite(memory.get(), text, desk.bytes, static_cast<off_t>(address));
  return n == static_cast<ssize_t>(desk.bytes) ? Desk::kWritten : Desk::kFault;
}

/// False: the listener cannot be had, the agent has to reply.
bool reply(Desk& desk, Fd& listener, Desk::End end) {
  if (!listener) listener = borrow(desk.listener_fd);
  if (!listener) return false;
  seccomp_notif_resp response{};
  response.id = desk.notification.id;
  response.val = end == Desk::kFault ? 0 : desk.value;
  response.error = end == Desk::kFault ? -EFAULT : 0;
  const bool sent = ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &response) == 0;
  desk.notification.id = 0;
  if (!sent) {
    ++desk.gone;
  } else {
    ++desk.answered;
    if (end == Desk::kFault) ++desk.faults;
  }
  return true;
}

/// Whether the answer on the desk does for the call on it, too.
bool suits(const Desk& desk, const seccomp_notif& last) {
  const seccomp_notif& n = desk.notification;
  if (n.data.arch != last.data.arch || n.data.nr != last.data.nr) return false;
  if (boottime_us() >= desk.until_us) return false;
  // No number comes round again in so short a time.
  if (n.pid == last.pid) return true;
  const auto ns = read_namespaces(kWriterProcFd, static_cast<pid_t>(n.pid));
  return ns && ns.value().pid == desk.pid_ns && ns.value().cgroup == desk.cgroup_ns;
}

/// Waits for the next call of the source. False: none came, or it is not for us to wait any more.
bool next_call(Desk& desk, Fd& listener) {
  for (;;) {
    if (desk.wanted.load(std::memory_order_relaxed) != 0) return false;
    // By itself, without epoll: the caller then wakes us on its own CPU (Linux 6.6).
    pollfd p{listener.get(), POLLIN, 0};
    if (::ppoll(&p, 1, &kNextWithin, nullptr) <= 0 || (p.revents & POLLIN) == 0) return false;
    std::memset(&desk.notification, 0, sizeof desk.notification);
    if (::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &desk.notification) == 0) return true;
    if (errno != ENOENT && errno != EINTR) return false;
  }
}

Desk::End serve(Desk& desk, const uint8_t* text) {
  Fd listener;
  for (uint32_t calls = 1;; ++calls) {
    const seccomp_notif last = desk.notification;
    desk.busy_since_us.store(boottime_us(), std::memory_order_relaxed);
    const Desk::End end = write_answer(desk, text, listener);
    desk.busy_since_us.store(0, std::memory_order_relaxed);
    if (desk.memory_fd >= 0 || end == Desk::kUnwritable) return end;
    if (end == Desk::kGone) {
      desk.notification.id = 0;
      ++desk.gone;
    } else if (!reply(desk, listener, end)) {
      return end;
    }
    if (calls >= desk.max_calls || boottime_us() >= desk.until_us) return Desk::kServed;
    if (!next_call(desk, listener)) return Desk::kServed;
    if (!suits(desk, last)) return Desk::kReturned;
  }
}

void futex(std::atomic<uint32_t>& word, int operation, uint32_t value) {
  ::syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
}

[[noreturn]] void run(Desk& desk, const uint8_t* text) {
  for (;;) {
    for (uint32_t turn; (turn = desk.turn.load(std::memory_order_acquire)) != Desk::kWriters;) {
      futex(desk.turn, FUTEX_WAIT, turn);
    }
    desk.end = serve(desk, text);
    desk.turn.store(Desk::kDone, std::memory_order_release);
    const uint64_t one = 1;
    if (::write(kWriterDoneFd, &one, sizeof one) < 0) std::exit(1);
  }
}

}  // namespace
}  // namespace vprocfs

int main(int argc, char** argv) {
  using vprocfs::PendingCalls;
  // It has no end of its own.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pollfd agent{vprocfs::kWriterAgentFd, POLLIN, 0};
  if (argc != 2 || ::poll(&agent, 1, 0) != 0) return 1;
  ::syscall(SYS_close_range, vprocfs::kWriterProcFd + 1, UINT_MAX, 0);
  static PendingCalls pending;
  const size_t index = std::strtoul(argv[1], nullptr, 10);
  if (index >= PendingCalls::kDesks || !pending.open(vprocfs::kWriterCallsFd)) return 1;
  vprocfs::go_first();
  vprocfs::run(pending.desk(index), pending.text(index));
}
