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
    while (next < kHands + kLeftovers && entries_[next].in_use()) ++next;
    if (from.in_use() && next < kHands + kLeftovers) entries_[next] = from;
    from = Entry{};
  }
  leftovers_.assign(entries_ + kHands, entries_ + kHands + kLeftovers);
  return leftovers_;
}

uint64_t Ledger::answering(uint64_t key) const {
  for (const Entry& entry : leftovers_) {
    if (entry.key == key && entry.answering != 0) return entry.answering;
  }
  return 0;
}

void Ledger::settle_answer(uint64_t key) {
  for (size_t i = 0; i < leftovers_.size(); ++i) {
    if (leftovers_[i].key == key && leftovers_[i].answering != 0) settle(i);
  }
}

}  // namespace vprocfs
