#include "container/rivals.h"

#include <unistd.h>

#include <cstdlib>

#include "base/clock.h"
#include "container/container.h"
#include "source/host_source.h"

namespace vprocfs {

Rivals::Use Rivals::use_of(HostSource& host, Container* outermost, uint64_t now_us) {
  Use use;
  use.at_us = now_us;
  use.cpus = static_cast<uint64_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  use.daemon_us = clock_us(CLOCK_PROCESS_CPUTIME_ID);
  // "UP IDLE", in seconds.
  if (const auto uptime = host.raw("proc/uptime")) {
    const size_t blank = uptime.value().find(' ');
    const char* idle = blank == std::string::npos ? "" : uptime.value().c_str() + blank;
    use.idle_us = static_cast<uint64_t>(std::strtod(idle, nullptr) * 1e6);
  }
  if (outermost == nullptr) return use;
  if (const auto facts = outermost->facts(kNeedCpuReport, now_us)) {
    for (const CpuReport::Cpu& cpu : facts.value().cpu_report.cpus) {
      use.tenant_us += cpu.counters.user_us + cpu.counters.nice_us + cpu.counters.system_us;
    }
  }
  return use;
}

}  // namespace vprocfs
