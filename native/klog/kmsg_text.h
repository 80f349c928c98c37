#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vprocfs {

/// What /dev/kmsg takes at once (kernel/printk/printk.c, LOG_LINE_MAX was 992 and is 1024).
inline constexpr size_t kLongestWritten = 1024;

/// A record as /dev/kmsg gives it: "6,123,4567,-;text\n".
std::string kmsg_text(uint64_t sequence, uint64_t time_us, uint16_t priority,
                      std::string_view text);

/// What was written to /dev/kmsg.
struct WrittenText {
  uint16_t priority = 0;
  std::string_view text;  ///< a part of the bytes that it was parsed from
};

/// As devkmsg_write() reads it: an optional "<priority>" and the text, up to a NUL. A priority of
/// the kernel's facility gets that of users.
WrittenText parse_written(std::string_view bytes);

}  // namespace vprocfs
