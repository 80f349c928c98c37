#pragma once

#include <stdint.h>

#ifdef __cplusplus
namespace vprocfs {
#endif

/// Where a struct pid says which numbers its task has in which PID namespaces, in bytes.
struct PidLayout {
  uint32_t level, numbers;
  uint32_t number_size, number_value, number_namespace; /* of a struct upid */
  uint32_t namespace_inum;
};

#ifdef __cplusplus
}  // namespace vprocfs
#endif
