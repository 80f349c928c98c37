#include "keeper/memo.h"

#include <utility>

namespace vprocfs {
namespace {

constexpr size_t kBytes = 4096;
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
  if (!memory_.open(std::move(fd), "vprocfs-memo", kBytes)) return false;
  auto* record = memory_.as<MemoRecord>();
  if (inherited && record->version != MemoRecord::kVersion) {
    memory_.drop();
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
