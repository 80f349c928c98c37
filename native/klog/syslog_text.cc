#include "klog/syslog_text.h"

#include <cinttypes>
#include <cstdio>

namespace vprocfs {

std::string syslog_text(uint64_t time_us, uint16_t priority, std::string_view text) {
  constexpr uint64_t kSecond = 1'000'000;
  char prefix[64];
  std::snprintf(prefix, sizeof prefix, "<%u>[%5" PRIu64 ".%06" PRIu64 "] ", unsigned{priority},
                time_us / kSecond, time_us % kSecond);
  std::string out;
  for (;;) {
    const size_t end = text.find('\n');
    out.append(prefix).append(text.substr(0, end)).push_back('\n');
    if (end == text.npos) return out;
    text.remove_prefix(end + 1);
  }
}

}  // namespace vprocfs
