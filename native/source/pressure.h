#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "facts/pressure.h"
#include "source/controllers.h"

namespace vprocfs {

/// A pressure file; nothing where it has no line that can be told.
std::optional<PressureFacts> parse_pressure(std::string_view text);

/// The pressure files of one container's cgroup2 directory, which the kernel has there on hybrid
/// hosts too. All fail with EOPNOTSUPP where the kernel does not account pressure for the cgroup
/// (the errno of psi_show() then), and with ENODEV when it is gone.
class PressureSource {
 public:
  explicit PressureSource(DirPtr dir);

  Result<PressureFacts> read(PressureResource resource, ReadBuffer& buffer);

  /// The file open for writing, to be given one trigger and polled for it.
  Result<Fd> open_trigger(PressureResource resource) const;

 private:
  const DirPtr dir_;
  std::array<OpenCgroupFile, 4> files_;  ///< by PressureResource
};

}  // namespace vprocfs
