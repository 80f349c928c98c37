#include "klog/kmsg_text.h"

#include <charconv>
#include <system_error>

#include "klog/record.h"

namespace vprocfs {
namespace {

constexpr uint16_t kUser = 1 << 3;     // LOG_USER
constexpr uint16_t kDefaultLevel = 4;  // CONFIG_MESSAGE_LOGLEVEL_DEFAULT
constexpr uint64_t kLevels = 7, kFacilities = 0xff << 3;

}  // namespace

std::string kmsg_text(uint64_t sequence, uint64_t time_us, uint16_t priority,
                      std::string_view text) {
  std::string out = std::to_string(priority) + ',' + std::to_string(sequence) + ',' +
                    std::to_string(time_us) + ",-;";
  out += escape_record(text);
  out += '\n';
  return out;
}

WrittenText parse_written(std::string_view bytes) {
  WrittenText out{static_cast<uint16_t>(kUser | kDefaultLevel), bytes.substr(0, bytes.find('\0'))};
  const size_t end = out.text.find('>');
  if (!out.text.empty() && out.text.front() == '<' && end != out.text.npos) {
    uint64_t number = 0;
    const char* const last = out.text.data() + end;
    const auto read = std::from_chars(out.text.data() + 1, last, number);
    // The kernel too takes "<>" for 0.
    if (read.ptr == last && (read.ec == std::errc() || end == 1)) {
      const uint64_t facility = number & kFacilities;
      out.priority = static_cast<uint16_t>((facility == 0 ? kUser : facility) | (number & kLevels));
      out.text.remove_prefix(end + 1);
    }
  }
  if (!out.text.empty() && out.text.back() == '\n') out.text.remove_suffix(1);
  return out;
}

}  // namespace vprocfs
