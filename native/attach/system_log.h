#pragma once

#include <string>

namespace vprocfs {

/// Writes a warning of a program to the system's log (/dev/log). Unlike syslog(3) it takes no
/// longer than a second: a logger that hangs must not keep a container from starting. False:
/// nobody has taken it.
bool warn_system(const char* program, const std::string& line);

}  // namespace vprocfs
