#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "klog/line.h"
#include "klog/oom_kill.h"
#include "klog/record.h"

namespace vprocfs {

/// What a record of the host's log is, by its wording in Linux 5.3 to 6.18. Containers choose
/// names of processes (15 bytes), of files and of cgroups that stand in it; none of these decides
/// whose it is. Text that no rule knows is nothing: it is told to nobody.
struct LogShape {
  enum class Is : uint8_t {
    kNothing,
    kOomBegin,      ///< "NAME invoked oom-killer: …"
    kOomDetail,     ///< usage, statistics, the table of tasks
    kOomPlace,      ///< "Memory cgroup stats for PATH:"; `kill.limit_cgroup` is the path
    kOomSummary,    ///< "oom-kill:…"; `kill`
    kOomKilled,     ///< "… Killed process PID (NAME) …", the last line of one; `pid`
    kOomUnkilled,   ///< nobody could be killed, or has ended already: the last line of one as well
    kOomGroup,      ///< "Tasks in PATH are going to be killed …"; `kill.cgroup` is the path
    kOomReaped,     ///< "oom_reaper: reaped process PID …"
    kForkRejected,  ///< `path`
    kFault,         ///< a segmentation fault or trap of `pid`
    kCode,          ///< "Code: …", which follows some faults
    kSeccomp,       ///< a process killed for a system call, or one that is logged: `pid`
    kHung,          ///< "INFO: task NAME:PID blocked …"
  };
  Is is = Is::kNothing;
  bool has_code = false;  ///< kFault: a record kCode follows
  bool kills = false;     ///< kSeccomp: the system call is not only logged
  pid_t pid = 0;
  std::string path;
  OomKill kill;
  LogLine line;  ///< what may be told
};

LogShape shape_of(const LogRecord& record);

/// Whether a text is the code that follows some faults (LogShape::Is::kCode). It is the same each
/// time that one program faults at one place.
bool is_code(std::string_view text);

}  // namespace vprocfs
