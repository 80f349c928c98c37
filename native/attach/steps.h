#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attach/clean.h"
#include "attach/report.h"
#include "attach/target.h"
#include "base/fd.h"

namespace vprocfs {

/// The mounts below a directory that is covered as a whole: they stay visible.
struct CoveredMounts {
  uint64_t mount = 0;               ///< that the directory is on
  Fd directory;                     ///< when nothing covers it yet
  std::vector<std::string> places;  ///< with mounts below it, relative
  std::vector<std::string> masks;   ///< places that the runtime is about to mask
};

/// One thing to do once we are in the container's mount namespace.
struct Step {
  size_t report = 0;  ///< index into Report::files
  Directory parent;
  Fd leaf;  ///< what is seen there at `name` now
  std::string name;
  uint64_t top = 0;      ///< mount that is seen there now
  bool unmount = false;  ///< detach: unmount `top`
  bool beneath = false;  ///< attach: replace `top`
  bool absent = false;   ///< nothing is there yet
  Fd mount;
  std::optional<CoveredMounts> covered;
};

/// A mount that is no longer there below a cover of ours.
struct LostMount {
  size_t report = 0;
  Directory parent;   ///< the directory that the covered one is in
  Fd at;              ///< the place below the cover
  std::string name;   ///< of the covered directory
  std::string place;  ///< relative to the covered directory
};

/// A clean copy to unmount (see clean.h). It is no file of a report.
struct ExposedCopy {
  std::string path;
  Step step;
};

/// What has been planned for one container.
struct Plan {
  std::vector<Step> steps;
  std::vector<LostMount> lost;
  std::vector<ExposedCopy> exposed;
  std::vector<CleanRoot> clean;  ///< where to mount clean copies
  bool empty() const { return steps.empty() && lost.empty() && exposed.empty() && clean.empty(); }
};

/// Moves into the target's mount namespace and does what was planned. Reports what fails.
void perform(Plan& plan, Target& target, Report& report);

/// Unmounts `step.top`. 0, or an errno value; EBUSY: something else is seen there by now.
int unmount_top(const Step& step);

/// What an errno value means.
std::string explain(int code);

}  // namespace vprocfs
