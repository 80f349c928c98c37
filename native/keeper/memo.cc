#include "keeper/memo.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace vprocfs {
namespace {

constexpr off_t kBytes = 4096;
static_assert(sizeof(MemoRecord) <= kBytes);

uint64_t add(uint64_t hash, const char* text) {
  for (;; ++text) {
    hash = (hash ^ static_cast<unsigned char>(*text)) * 1099511628211u;
    if (*text == '\0') return hash;
  }
}

}  // namespace

bool Memo::open(Fd fd) {
  const bool inherited = static_cast<bool>(fd);
  fd_ = inherited ? std::move(fd) : Fd(::memfd_create("vprocfs-memo", MFD_CLOEXEC));
  struct stat st {};
  if (!fd_ || (!inherited && ::ftruncate(fd_.get(), kBytes) != 0) || ::fstat(fd_.get(), &st) != 0 ||
      st.st_size != kBytes) {
    fd_.reset();
    return false;
  }
  void* at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (at == MAP_FAILED) {
    fd_.reset();
    return false;
  }
  auto* record = static_cast<MemoRecord*>(at);
  if (inherited && record->version != MemoRecord::kVersion) {
    ::munmap(at, kBytes);
    fd_.reset();
    return false;
  }
  record_ = record;
  record_->version = MemoRecord::kVersion;
  return true;
}

uint64_t mounted_as(const KeeperOptions& options) {
  uint64_t hash = 14695981039346656037u;
  for (const char* text :
       {options.mountpoint, options.type, options.source, options.tick ? "tick" : "exact"}) {
    hash = add(hash, text);
  }
  return hash;
}

}  // namespace vprocfs
