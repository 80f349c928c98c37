#pragma once

#include <linux/seccomp.h>

#include <cstdint>
#include <vector>

#include "klog/syslog.h"
#include "view/sysinfo_model.h"

namespace vprocfs {

/// The system calls that we can answer, and all others.
enum class Call : uint8_t { kOther, kSysinfo, kAffinity, kSyslog };

/// A call, and how its caller lays out memory.
struct KnownCall {
  Call call = Call::kOther;
  bool is_32bit = false;
};

/// Which call a notification is about: the same numbers mean different calls in different ABIs.
KnownCall call_of(const seccomp_data& data);

/// The arguments of a call of syslog(2), as the kernel takes them.
SyslogCall syslog_of(const seccomp_data& data);

/// struct sysinfo of a 64-bit caller, and compat_sysinfo (kernel/sys.c) of a 32-bit one, in which
/// amounts that do not fit are counted in units of up to a page.
std::vector<uint8_t> encode_sysinfo64(const SysinfoFigures& figures);
std::vector<uint8_t> encode_sysinfo32(const SysinfoFigures& figures, uint32_t page_bytes);

}  // namespace vprocfs
