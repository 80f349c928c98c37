// A state file that was damaged in any places, taken over by a worker: records are whole or not
// there, and none reaches beyond the file. The input is a list of (offset, 8 bytes) to write.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "fuse/files/open_file.h"
#include "input.h"
#include "state/state_file.h"

using namespace vprocfs;

namespace {

constexpr size_t kBytes = size_t{1} << 20;

void fill(StateFile& state) {
  constexpr RecordType kTypes[] = {
      RecordType::kOpenFile, RecordType::kSnapshot,  RecordType::kHistory, RecordType::kLoad,
      RecordType::kTrigger,  RecordType::kIoHistory, RecordType::kIoLosses};
  uint64_t key = 1;
  for (const RecordType type : kTypes) {
    for (const size_t bytes : {1U, 100U, 1000U, 5000U}) {
      const RecordIndex record = state.allocate(type, bytes);
      if (record == 0) continue;
      std::memset(state.data(record), static_cast<int>(key), bytes);
      state.publish(record, type, key++, bytes);
    }
  }
}

void read_all(StateFile& state) {
  uint64_t sum = 0;
  for (uint32_t type = 1; type <= 8; ++type) {
    std::vector<std::pair<RecordIndex, uint64_t>> found;
    const auto kind = static_cast<RecordType>(type);
    state.for_each(kind, [&](RecordIndex record, uint64_t key, size_t bytes) {
      const uint8_t* data = state.data(record);
      for (size_t i = 0; i < bytes; ++i) sum += data[i];
      found.emplace_back(record, key);
    });
    for (const auto& [record, key] : found) {
      size_t bytes = 0;
      if (!state.find(record, kind, key, &bytes)) std::abort();
    }
    for (const auto& [record, key] : found) state.release(record, kind, key);
  }
  if (sum == UINT64_MAX) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  auto memory = StateFile::make_memfd(kBytes);
  if (!memory) return 0;
  std::string ignored;
  {
    auto state = StateFile::open(memory.value().get(), &ignored);
    if (!state) std::abort();
    fill(*state.value());
  }
  fuzz::Input input(bytes, size);
  const bool adopt = (input.number<uint8_t>() & 1) == 0;
  while (!input.empty()) {
    const auto at = static_cast<off_t>(input.number<uint32_t>() % (kBytes - 8));
    const auto value = input.number<uint64_t>();
    if (::pwrite(memory.value().get(), &value, sizeof value, at) != sizeof value) std::abort();
  }
  auto state = StateFile::open(memory.value().get(), &ignored);
  if (!state) return 0;
  if (adopt) {
    OpenFiles files(*state.value());
    files.adopt([](NodeId) { return true; },
                [](NodeId node, ContainerId) {
                  return std::make_shared<OpenFile>(node, nullptr, nullptr);
                });
    files.adopt_rest([](ContainerId) { return true; });
  }
  read_all(*state.value());
  fill(*state.value());
  return 0;
}
