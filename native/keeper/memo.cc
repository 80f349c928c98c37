#include "keeper/memo.h"

#include <cstring>
#include <utility>

#include "base/fnv.h"

namespace vprocfs {
namespace {

constexpr size_t kBytes = 4096;
static_assert(sizeof(MemoRecord) <= kBytes);

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
  uint64_t hash = kFnvSeed;
  for (const char* text :
       {options.mountpoint, options.type, options.source, options.tick ? "tick" : "exact"}) {
    hash = fnv(hash, {text, std::strlen(text) + 1});
  }
  return hash;
}

}  // namespace vprocfs
