// Mount tables: containers choose the paths and sources in them.

#include <cstdlib>
#include <string_view>

#include "source/mount_table.h"

using namespace vprocfs;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const MountTable table = MountTable::parse(text);
  for (const MountEntry& entry : table.all()) {
    if (table.at(entry.path) == nullptr) std::abort();
    if (table.by_id(entry.id) == nullptr) std::abort();
    if (!table.has_device(entry.device)) std::abort();
  }
  return 0;
}
