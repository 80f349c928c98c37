#pragma once

#include <string_view>

#include "klog/shape.h"

namespace vprocfs {

/// Lines of a kill by the OOM killer that no other line looks like. False: it is none of them.
bool oom_shape(std::string_view text, LogShape& out);

/// Usage, statistics and the table of tasks. Outside of a kill other lines may look like these.
bool oom_detail(std::string_view text, LogShape& out);

}  // namespace vprocfs
