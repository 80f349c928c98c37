// What the process that an ended keeper left (keeper/call_passthrough.h) hands over to its
// successor.

#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "base/lock_file.h"
#include "base/unix_socket.h"
#include "seccomp/agent.h"

namespace vprocfs {
namespace {

bool send_byte(int connection) {
  const char byte = 0;
  return ::send(connection, &byte, sizeof byte, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof byte;
}

/// All that the process sends. `owes_receipt`: it keeps everything until it has one. Empty: there
/// is nothing, or it has to be asked for everything again.
std::vector<FdStore::Entry> receive_all(int connection, bool& owes_receipt) {
  constexpr int kWithinMs = 1000;
  std::vector<FdStore::Entry> out;
  pollfd p{connection, POLLIN, 0};
  while (::poll(&p, 1, kWithinMs) > 0) {
    uint32_t kinds[kPassthroughFds];
    Received got = receive(connection, kinds, sizeof kinds, false);
    if (got.state != Received::State::kSome || (got.cut && owes_receipt)) break;
    const uint32_t note = got.fds.empty() && got.bytes >= sizeof(kinds[0]) ? kinds[0] : 0;
    // False: it took us for a worker of an earlier version, and keeps nothing.
    if (note == kReceiptWanted) owes_receipt = send_byte(connection);
    if (note == kAllPassed) return out;
    const size_t count = std::min(got.fds.size(), got.bytes / sizeof(kinds[0]));
    for (size_t i = 0; i < count; ++i) {
      out.push_back({{0, static_cast<FdKind>(kinds[i])}, std::move(got.fds[i])});
    }
  }
  // One of an earlier version ends with the connection. Any other still has what it sent.
  if (std::exchange(owes_receipt, false)) out.clear();
  return out;
}

/// Whether both are duplicates of one descriptor. False also where the kernel does not tell.
bool is_duplicate(int one, int other) {
  const pid_t self = ::getpid();
  return ::syscall(SYS_kcmp, self, self, KCMP_FILE, one, other) == 0;
}

}  // namespace

void Agent::await_place() {
  constexpr int kTries = 20;
  constexpr timespec kMoment{0, 1'000'000};
  // Opened again for each try to listen: another vprocfs that waited removed the file when it began
  // to listen.
  const std::string path = options_.directory + "/" + kAwaitedName;
  Fd file = lock_file(path.c_str(), O_RDONLY | O_CREAT, LOCK_SH);
  // A process that holds the exclusive lock is about to remove the file.
  for (int i = 0; i < kTries && !file && errno == EWOULDBLOCK; ++i) {
    ::nanosleep(&kMoment, nullptr);
    file = lock_file(path.c_str(), O_RDONLY | O_CREAT, LOCK_SH);
  }
  if (file) awaited_ = std::move(file);
}

void Agent::stop_awaiting_place() {
  if (!awaited_) return;
  awaited_.reset();
  const std::string path = options_.directory + "/" + kAwaitedName;
  // Fails while another vprocfs waits too, which holds a shared lock.
  if (const Fd alone = lock_file(path.c_str(), O_RDONLY, LOCK_EX)) ::unlink(path.c_str());
}

/// Whether a worker before us has taken the descriptor, and was killed before it said so. Twice
/// among the sources, two threads would wait for the same calls.
bool Agent::is_taken(const FdStore::Entry& one) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(sources_.begin(), sources_.end(), [&one](const auto& entry) {
    const Source& source = *entry.second;
    return source.kind == one.tag.kind && is_duplicate(source.fd.get(), one.fd.get());
  });
}

/// Takes the sockets and listeners from the process that an ended keeper left, if there is one.
void Agent::adopt_passed_through() {
  const auto address = UnixAddress::at(options_.directory + "/rest.sock");
  const Fd connection = unix_socket(SOCK_SEQPACKET | SOCK_NONBLOCK);
  if (!address || !address->connect(connection.get())) return;
  bool owes_receipt = false;
  std::vector<FdStore::Entry> passed = receive_all(connection.get(), owes_receipt);
  const auto is_useless = [this](const FdStore::Entry& one) {
    return !is_source(one.tag.kind) || is_taken(one);
  };
  passed.erase(std::remove_if(passed.begin(), passed.end(), is_useless), passed.end());
  for (FdStore::Entry& one : passed) {
    {
      const std::lock_guard lock(mutex_);
      one.tag.key = new_key();
    }
    // Not under the lock that all calls need: the keeper takes its time.
    if (fd_store_ != nullptr) fd_store_->put(one.tag, one.fd.get());
  }
  // Nobody answers their calls before it is known that we are the only ones who do.
  if (owes_receipt && !send_byte(connection.get())) {
    for (const FdStore::Entry& one : passed) {
      if (fd_store_ != nullptr) fd_store_->remove(one.tag.key);
    }
    return;
  }
  for (FdStore::Entry& one : passed) add(one.tag.kind, std::move(one.fd), one.tag.key, true);
}

}  // namespace vprocfs
