// The host's kernel log as containers would like it to be, and logs whose memory was damaged. The
// first byte chooses. Text: records are sorted and told to a container, whose log is taken over by
// another worker and says the same. Damage: (offset, 8 bytes) to write into a log's memory.

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "input.h"
#include "klog/banner.h"
#include "klog/logs.h"
#include "klog/record.h"
#include "klog/sorter.h"
#include "log_in_state.h"
#include "source/parse.h"
#include "state/state_file.h"

using namespace vprocfs;

namespace {

constexpr size_t kBytes = size_t{1} << 20, kMost = 100000;
const ContainerId kId = ContainerId::from_packed(7);
constexpr TenantIdentity kTenant{7, 1};

/// Knows every second process.
class Somebody : public LineTranslator {
 public:
  std::optional<pid_t> pid(pid_t host) override {
    return host % 2 == 0 ? std::optional<pid_t>(host / 2) : std::nullopt;
  }
  uint64_t user(uint64_t host) override { return host; }
  std::string memory_path(const std::string& host) override { return path_below(host, "/a"); }
  std::string pids_path(const std::string& host) override { return path_below(host, "/a"); }
};

KernelLogs::Page read(const KernelLogs& logs) {
  KernelLogs::Page page;
  logs.read(kId, 0, kMost, page);
  uint64_t next = page.first;
  for (const KernelLogs::Record& record : page.records) {
    if (record.sequence != next++) std::abort();
  }
  if (next != page.next) std::abort();
  return page;
}

void sort_and_tell(std::string_view text, int memory) {
  fuzz::LogInState first = fuzz::open_log(memory, false);
  LogSorter sorter;
  Somebody somebody;
  uint64_t now = 0;
  const auto tell = [&] {
    while (const auto group = sorter.next()) {
      std::vector<OwnLine> lines;
      for (const LogLine& line : group->lines) {
        auto told = translate(line, somebody);
        if (told) lines.push_back({line.sequence, line.time_us, line.level, std::move(*told)});
      }
      first.logs->add(kId, kTenant, group->first(), lines, [] { return banner_lines({}); });
    }
  };
  for_each_line(text, [&](std::string_view line) {
    const std::string bytes = std::string(line) + "\n";
    const auto record = parse_record(bytes);
    if (!record) return;
    if (unescape_record(escape_record(record->text)) != record->text) std::abort();
    sorter.take(*record, now += 1000);
    tell();
  });
  sorter.idle(now + 3'600'000'000);
  tell();
  const KernelLogs::Page before = read(*first.logs);
  first.logs.reset();
  first.state.reset();
  const KernelLogs::Page after = read(*fuzz::open_log(memory, false).logs);
  if (after.next != before.next || after.records.size() != before.records.size()) std::abort();
}

void damage(fuzz::Input& input, int memory) {
  {
    fuzz::LogInState made = fuzz::open_log(memory, false);
    for (uint64_t i = 1; i < 40; ++i) {
      made.logs->add(kId, kTenant, i, {{i, i, 6, std::string(300, 'x')}},
                     [] { return banner_lines({}); });
    }
  }
  void* at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (at == MAP_FAILED) return;
  while (!input.empty()) {
    const size_t offset = input.number<uint32_t>() % (kBytes - sizeof(uint64_t));
    const uint64_t value = input.number<uint64_t>();
    std::memcpy(static_cast<uint8_t*>(at) + offset, &value, sizeof value);
  }
  ::munmap(at, kBytes);
  fuzz::LogInState next = fuzz::open_log(memory, false);
  KernelLogs::Page page;
  next.logs->read(kId, 0, kMost, page);
  next.logs->add(kId, kTenant, 1000, {{1000, 1, 6, "y"}}, [] { return banner_lines({}); });
  next.logs->forget_ended();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  auto memory = StateFile::make_memfd(kBytes);
  if (!memory) return 0;
  fuzz::Input input(bytes, size);
  if (input.number<uint8_t>() % 2 == 0) {
    sort_and_tell(input.rest(), memory.value().get());
  } else {
    damage(input, memory.value().get());
  }
  return 0;
}
