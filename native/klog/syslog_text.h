#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vprocfs {

/// A record as syslog(2) and /proc/kmsg give it: `<priority>[seconds.microseconds] ` before every
/// line of the text, and a newline after it (kernel/printk/printk.c, record_print_text).
std::string syslog_text(uint64_t time_us, uint16_t priority, std::string_view text);

/// How long that is.
size_t syslog_text_bytes(uint64_t time_us, uint16_t priority, std::string_view text);

}  // namespace vprocfs
