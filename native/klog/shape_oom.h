#pragma once

#include <string_view>

#include "klog/shape.h"

namespace vprocfs {

/// Lines of a kill for want of memory by which it can be told; false: it is none.
bool oom_shape(std::string_view text, LogShape& out);

/// Usage, statistics and the table of tasks, which are like nothing else only within a kill.
bool oom_detail(std::string_view text, LogShape& out);

}  // namespace vprocfs
