#include "klog/syslog_text.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace vprocfs {
namespace {

/// What stands before every line.
struct Prefix {
  Prefix(uint64_t time_us, uint16_t priority) {
    constexpr uint64_t kSecond = 1'000'000;
    const int n = std::snprintf(text_, sizeof text_, "<%u>[%5" PRIu64 ".%06" PRIu64 "] ",
                                unsigned{priority}, time_us / kSecond, time_us % kSecond);
    bytes_ = static_cast<size_t>(n);
  }
  std::string_view text() const { return {text_, bytes_}; }

 private:
  char text_[64];
  size_t bytes_ = 0;
};

size_t digits(uint64_t value) {
  size_t n = 1;
  for (; value > 9; value /= 10) ++n;
  return n;
}

/// The length of a Prefix, without printing it: whole logs are measured for each call.
size_t prefix_bytes(uint64_t time_us, uint16_t priority) {
  constexpr size_t kSecondsWidth = 5;
  constexpr size_t kRest = std::string_view("<>[.000000] ").size();
  return kRest + digits(priority) + std::max(kSecondsWidth, digits(time_us / 1'000'000));
}

}  // namespace

std::string syslog_text(uint64_t time_us, uint16_t priority, std::string_view text) {
  const Prefix prefix(time_us, priority);
  std::string out;
  for (;;) {
    const size_t end = text.find('\n');
    out.append(prefix.text()).append(text.substr(0, end)).push_back('\n');
    if (end == text.npos) return out;
    text.remove_prefix(end + 1);
  }
}

size_t syslog_text_bytes(uint64_t time_us, uint16_t priority, std::string_view text) {
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  const size_t newlines = 1;
  return lines * prefix_bytes(time_us, priority) + text.size() + newlines;
}

}  // namespace vprocfs
