// vprocfs-writer: writes answers into the memory of callers, for one agent (seccomp/writer_slot.h).
//
// The write may block, and no signal interrupts it. So the writer is a process of its own, and
// during the write it holds nothing that others need: it borrows the notify descriptor from the
// agent only for moments in which nothing can block.

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/fd.h"
#include "base/priority.h"
#include "seccomp/pending_calls.h"
#include "source/process.h"

namespace vprocfs {
namespace {

/// How long the writer waits for the next call of the same source. After that the agent does.
constexpr timespec kNextWithin{0, 500'000};

/// A duplicate of one of the agent's descriptors. Empty if the kernel has no pidfd_getfd(2) (before
/// Linux 5.6) or refuses it (Yama).
Fd borrow(int fd) {
  return Fd(static_cast<int>(::syscall(SYS_pidfd_getfd, kWriterAgentFd, fd, 0)));
}

Fd open_memory(const WriterSlot& slot) {
  if (slot.memory_fd >= 0) return borrow(slot.memory_fd);
  char path[32];
  std::snprintf(path, sizeof path, "%u/mem", slot.notification.pid);
  return Fd(::openat(kWriterProcFd, path, O_RDWR | O_CLOEXEC));
}

bool still_waits(const Fd& listener, uint64_t id) {
  return ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/// Writes the answer into the caller's memory. Closes `listener` before the write, which may block
/// for ever.
WriterSlot::End write_answer(WriterSlot& slot, const uint8_t* text, Fd& listener) {
  // Waits at most for a lock whose wait a fatal signal ends.
  const Fd memory = open_memory(slot);
  // Checked after the memory was opened: if the caller still waits, this is its memory, even if its
  // PID is reused later.
  if (!listener) listener = borrow(slot.listener_fd);
  if (!listener) return WriterSlot::kUnwritable;
  if (!still_waits(listener, slot.notification.id)) return WriterSlot::kGone;
  if (!memory) return WriterSlot::kUnwritable;
  const uint64_t given = slot.notification.data.args[slot.argument];
  const uint64_t address = slot.is_32bit != 0 ? static_cast<uint32_t>(given) : given;
  if (address > static_cast<uint64_t>(INT64_MAX) - slot.bytes) return WriterSlot::kFault;
  listener.reset();
  const ssize_t n = ::pwrite(memory.get(), text, slot.bytes, static_cast<off_t>(address));
  return n == static_cast<ssize_t>(slot.bytes) ? WriterSlot::kWritten : WriterSlot::kFault;
}

/// Replies to the call in the slot. False: the listener cannot be opened, so the agent has to
/// reply.
bool reply(WriterSlot& slot, Fd& listener, WriterSlot::End end) {
  if (!listener) listener = borrow(slot.listener_fd);
  if (!listener) return false;
  seccomp_notif_resp response{};
  response.id = slot.notification.id;
  response.val = end == WriterSlot::kFault ? 0 : slot.value;
  response.error = end == WriterSlot::kFault ? -EFAULT : 0;
  const bool sent = ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &response) == 0;
  slot.notification.id = 0;
  if (!sent) {
    ++slot.gone;
  } else {
    ++slot.answered;
    if (end == WriterSlot::kFault) ++slot.faults;
  }
  return true;
}

/// Whether the answer in the slot is also right for the next call, which is in the slot by now.
/// `last`: the call that it was made for.
bool is_right_for_next(const WriterSlot& slot, const seccomp_notif& last) {
  const seccomp_notif& n = slot.notification;
  if (n.data.arch != last.data.arch || n.data.nr != last.data.nr) return false;
  if (boottime_us() >= slot.until_us) return false;
  // In so short a time no PID is reused.
  if (n.pid == last.pid) return true;
  const auto ns = read_namespaces(kWriterProcFd, static_cast<pid_t>(n.pid));
  return ns && ns.value().pid == slot.pid_ns && ns.value().cgroup == slot.cgroup_ns;
}

/// Receives the next call of the source. False: none came soon, or the agent wants the writer back.
bool next_call(WriterSlot& slot, Fd& listener) {
  for (;;) {
    if (slot.wanted.load(std::memory_order_relaxed) != 0) return false;
    // With ppoll(2), not epoll: the caller then wakes us on its own CPU (Linux 6.6).
    pollfd p{listener.get(), POLLIN, 0};
    if (::ppoll(&p, 1, &kNextWithin, nullptr) <= 0 || (p.revents & POLLIN) == 0) return false;
    std::memset(&slot.notification, 0, sizeof slot.notification);
    if (::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &slot.notification) == 0) return true;
    if (errno != ENOENT && errno != EINTR) return false;
  }
}

/// Writes the answer for the call in the slot, and for as many that follow as it is right for.
WriterSlot::End serve(WriterSlot& slot, const uint8_t* text) {
  Fd listener;
  for (uint32_t calls = 1;; ++calls) {
    const seccomp_notif last = slot.notification;
    slot.busy_since_us.store(boottime_us(), std::memory_order_relaxed);
    const WriterSlot::End end = write_answer(slot, text, listener);
    slot.busy_since_us.store(0, std::memory_order_relaxed);
    if (slot.memory_fd >= 0 || end == WriterSlot::kUnwritable) return end;
    if (end == WriterSlot::kGone) {
      slot.notification.id = 0;
      ++slot.gone;
    } else if (!reply(slot, listener, end)) {
      return end;
    }
    if (calls >= slot.max_calls || boottime_us() >= slot.until_us) return WriterSlot::kServed;
    if (!next_call(slot, listener)) return WriterSlot::kServed;
    if (!is_right_for_next(slot, last)) return WriterSlot::kReturned;
  }
}

void futex(std::atomic<uint32_t>& word, int operation, uint32_t value) {
  ::syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
}

[[noreturn]] void run(WriterSlot& slot, const uint8_t* text) {
  for (;;) {
    for (uint32_t owner;
         (owner = slot.owner.load(std::memory_order_acquire)) != WriterSlot::kWriter;) {
      futex(slot.owner, FUTEX_WAIT, owner);
    }
    slot.end = serve(slot, text);
    slot.owner.store(WriterSlot::kDone, std::memory_order_release);
    const uint64_t one = 1;
    if (::write(kWriterDoneFd, &one, sizeof one) < 0) std::exit(1);
  }
}

}  // namespace
}  // namespace vprocfs

int main(int argc, char** argv) {
  using vprocfs::PendingCalls;
  // Nothing else ends a writer when the agent dies.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pollfd agent{vprocfs::kWriterAgentFd, POLLIN, 0};
  if (argc != 2 || ::poll(&agent, 1, 0) != 0) return 1;
  vprocfs::close_from(vprocfs::kWriterProcFd + 1);
  static PendingCalls pending;
  const size_t index = std::strtoul(argv[1], nullptr, 10);
  if (index >= PendingCalls::kWriterSlots || !pending.open(vprocfs::kWriterCallsFd)) return 1;
  vprocfs::go_first();
  vprocfs::run(pending.writer_slot(index), pending.text(index));
}
