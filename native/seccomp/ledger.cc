#include "seccomp/ledger.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <unistd.h>
#include <cerrno>

namespace vprocfs {
namespace {

constexpr size_t kBytes = 8192;

}  // namespace

Ledger::~Ledger() {
  if (entries_ != nullptr) ::munmap(entries_, kBytes);
}

Result<Fd> Ledger::make() {
  Fd fd(::memfd_create("vprocfs-calls", MFD_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), kBytes) != 0) return Error{errno, "memfd"};
  return fd;
}

bool Ledger::open(int fd) {
  static_assert((kHands + kLeftovers) * sizeof(Entry) <= kBytes);
  struct stat st {};
  if (::fstat(fd, &st) != 0 || st.st_size != kBytes) return false;
  void* at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return false;
  entries_ = static_cast<Entry*>(at);
  return true;
}

std::vector<Ledger::Entry> Ledger::leftovers() {
  // Those of the last worker join those that it had not settled itself, and only then threads get
  // their places.
  size_t next = kHands;
  for (size_t i = 0; i < kHands; ++i) {
    Entry& from = entries_[i];
    if (from.key != 0 && from.answering != 0) unsure_.push_back(from);
    while (next < kHands + kLeftovers && entries_[next].notification.id != 0) ++next;
    if (from.key != 0 && from.notification.id != 0 && next < kHands + kLeftovers) {
      entries_[next] = from;
    }
    from = Entry{};
  }
  return std::vector<Entry>(entries_ + kHands, entries_ + kHands + kLeftovers);
}

uint64_t Ledger::answering(uint64_t key) const {
  for (const Entry& entry : unsure_) {
    if (entry.key == key) return entry.answering;
  }
  return 0;
}

}  // namespace vprocfs
