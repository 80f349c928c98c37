#include "seccomp/writers.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "base/affix.h"
#include "base/pidfd.h"
#include "source/process.h"
#include "source/read_file.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace vprocfs {
namespace {

/// When writing into a caller's memory takes longer, nobody tries that call again.
constexpr uint64_t kPoisonedAfterUs = 50'000;
/// When it takes longer than this, the writer is killed.
constexpr uint64_t kWriteWithinUs = 1'000'000;
/// Up to this long neither happens to a writer that is runnable.
constexpr uint64_t kRunnableWithinUs = 10'000'000;
/// A killed writer that takes longer to end is stuck.
constexpr uint64_t kEndWithinUs = 50'000;

constexpr char kProgram[] = "vprocfs-writer";

void kill_by(const Fd& pidfd) {
  ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
}

/// Reaps a child that has ended.
void reap_child(const Fd& pidfd) {
  siginfo_t info{};
  ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd.get()), &info,
           WEXITED | WNOHANG);
}

/// The program lies beside the shared object that holds this code.
std::string program_path() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&program_path), &info) == 0) return kProgram;
  const std::string own = info.dli_fname;
  return own.substr(0, own.rfind('/') + 1) + kProgram;
}

}  // namespace

bool Writers::start(int calls_fd) {
  program_ = program_path();
  calls_fd_ = Fd(::fcntl(calls_fd, F_DUPFD_CLOEXEC, 3));
  agent_ = open_pidfd(::getpid());
  done_ = Wake::open();
  return calls_fd_ && agent_ && done_;
}

/// Kills the writer that an earlier agent started for a slot. False: it does not end.
bool Writers::end_former(size_t index) {
  WriterSlot& slot = pending_.writer_slot(index);
  if (slot.pid == 0) return true;
  Fd process = open_pidfd(slot.pid);
  const auto start = read_start_ticks(procfs_fd_, slot.pid);
  const bool lives = process && start && start.value() == slot.start_ticks;
  if (lives) kill_by(process);
  if (!lives || has_ended(process, static_cast<int>(kEndWithinUs / 1000))) {
    slot.pid = 0;
    return true;
  }
  places_[index].process = std::move(process);
  places_[index].state = State::kStuck;
  slot.poisoned = 1;
  return false;
}

bool Writers::start_writer(size_t index) {
  // The new writer looks at the slot as soon as it runs, and its killed predecessor may have left
  // it as owned by the writer.
  pending_.writer_slot(index).owner = WriterSlot::kAgent;
  const int own[] = {calls_fd_.get(), agent_.get(), done_.fd(), procfs_fd_};
  const int theirs[] = {kWriterCallsFd, kWriterAgentFd, kWriterDoneFd, kWriterProcFd};
  // Duplicated to higher numbers first: none may be overwritten before it is duplicated.
  const int high = std::max(*std::max_element(std::begin(own), std::end(own)), kWriterProcFd) + 1;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (size_t i = 0; i < std::size(own); ++i) {
    ::posix_spawn_file_actions_adddup2(&actions, own[i], high + static_cast<int>(i));
  }
  for (size_t i = 0; i < std::size(own); ++i) {
    ::posix_spawn_file_actions_adddup2(&actions, high + static_cast<int>(i), theirs[i]);
  }
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  }
  ::posix_spawn_file_actions_addchdir_np(&actions, "/");
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::string name = kProgram, number = std::to_string(index);
  char* arguments[] = {name.data(), number.data(), nullptr};
  char* environment[] = {nullptr};
  pid_t pid = 0;
  const int failed =
      ::posix_spawn(&pid, program_.c_str(), &actions, &attributes, arguments, environment);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return false;
  Place& place = places_[index];
  place = Place{};
  place.process = open_pidfd(pid);
  const auto start = read_start_ticks(procfs_fd_, pid);
  if (!place.process || !start) {
    // Without these nobody could check on it.
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    place = Place{};
    return false;
  }
  WriterSlot& slot = pending_.writer_slot(index);
  slot.pid = pid;
  slot.start_ticks = start.value();
  place.state = State::kIdle;
  return true;
}

std::optional<size_t> Writers::take(int& started) {
  started = -1;
  const auto find = [this](State state) {
    const auto found = std::find_if(places_.begin(), places_.end(), [state](const Place& place) {
      return place.state == state && !place.in_use;
    });
    return static_cast<size_t>(found - places_.begin());
  };
  size_t index = find(State::kIdle);
  if (index == places_.size()) {
    index = find(State::kNone);
    if (index == places_.size() || !start_writer(index)) return std::nullopt;
    started = places_[index].process.get();
  }
  places_[index].in_use = true;
  WriterSlot& slot = pending_.writer_slot(index);
  slot.owner = WriterSlot::kAgent;
  slot.wanted = slot.poisoned = 0;
  slot.busy_since_us = 0;
  slot.answered = slot.faults = slot.gone = 0;
  return index;
}

bool Writers::renew(size_t index, int& started) {
  started = -1;
  if (places_[index].state == State::kIdle) return true;
  if (!start_writer(index)) return false;
  places_[index].in_use = true;
  started = places_[index].process.get();
  return true;
}

void Writers::give(size_t index) {
  WriterSlot& slot = pending_.writer_slot(index);
  places_[index].state = State::kBusy;
  places_[index].killed_us = 0;
  slot.owner.store(WriterSlot::kWriter, std::memory_order_release);
  ::syscall(SYS_futex, &slot.owner, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

std::optional<size_t> Writers::next_done() {
  for (size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].state != State::kBusy) continue;
    WriterSlot& slot = pending_.writer_slot(i);
    if (slot.owner.load(std::memory_order_acquire) != WriterSlot::kDone) continue;
    slot.owner = WriterSlot::kAgent;
    return i;
  }
  return std::nullopt;
}

bool Writers::any_done() const {
  for (size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].state != State::kBusy) continue;
    if (pending_.writer_slot(i).owner.load(std::memory_order_acquire) == WriterSlot::kDone) {
      return true;
    }
  }
  return false;
}

void Writers::put_back(size_t index) {
  WriterSlot& slot = pending_.writer_slot(index);
  slot.key = slot.notification.id = 0;
  leave(index);
}

void Writers::leave(size_t index) {
  places_[index].in_use = false;
  // A stuck writer stays stuck: its slot tells the next agent for which tenant.
  if (places_[index].state == State::kBusy) places_[index].state = State::kIdle;
}

/// Whether a writer has a CPU or waits for one.
bool Writers::is_runnable(size_t index) const {
  const auto text =
      read_file(procfs_fd_, std::to_string(pending_.writer_slot(index).pid) + "/stat");
  return text && stat_field(text.value(), StatField::kState) == "R";
}

bool Writers::check(size_t index, uint64_t now_us) {
  Place& place = places_[index];
  WriterSlot& slot = pending_.writer_slot(index);
  const uint64_t since = slot.busy_since_us.load(std::memory_order_relaxed);
  if (place.state != State::kBusy || since == 0 || now_us < since + kPoisonedAfterUs) return false;
  // Somebody else has killed it: its caller's memory did not block it.
  if (has_ended(place.process, 0)) return false;
  if (place.killed_us != 0) {
    if (now_us < place.killed_us + kEndWithinUs) return false;
    place.state = State::kStuck;
    return true;
  }
  // A writer that waits for a CPU is held up by the node, not by its caller.
  if (is_runnable(index) && now_us < since + kRunnableWithinUs) return false;
  slot.poisoned = 1;
  if (now_us < since + kWriteWithinUs) return false;
  // With the signal pending it writes nothing any more, should the page ever arrive.
  kill_by(place.process);
  place.killed_us = now_us;
  return false;
}

bool Writers::reap(size_t index) {
  Place& place = places_[index];
  if (place.state == State::kNone || !has_ended(place.process, 0)) return false;
  reap_child(place.process);
  const bool in_use = place.in_use;
  place = Place{};
  place.in_use = in_use;
  pending_.writer_slot(index).pid = 0;
  return true;
}

void Writers::stop() {
  for (Place& place : places_) {
    if (place.state == State::kIdle || place.state == State::kBusy) kill_by(place.process);
  }
  for (size_t i = 0; i < places_.size(); ++i) {
    const State state = places_[i].state;
    if (state != State::kIdle && state != State::kBusy) continue;
    // The next agent finds one that does not end by the PID in its slot.
    if (has_ended(places_[i].process, static_cast<int>(kEndWithinUs / 1000))) reap(i);
    places_[i] = Place{};
  }
}

}  // namespace vprocfs
