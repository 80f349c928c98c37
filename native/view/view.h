#pragma once

#include <cstdint>
#include <string_view>

#include "base/affix.h"
#include "facts/facts.h"
#include "view/writer.h"

namespace vprocfs {

/// When the content of a file can change.
enum class Changes : uint8_t {
  kAlways,      ///< figures of use: any moment
  kWithLimits,  ///< only when the container's limits (or the host's CPUs) change
};

/// One virtual file. A view is a pure function: no I/O, no clock, no lock, no errno.
struct View {
  /// Stable for ever: it is part of the node ids that kernels hold across upgrades.
  uint16_t index;
  /// Below the root of a container, without a leading slash, e.g. "proc/meminfo".
  std::string_view path;
  uint32_t mode;   ///< permission bits as the kernel's file has them
  uint32_t needs;  ///< Need bits
  Changes changes;
  void (*render)(const Facts&, Writer&);
};

/// Whether what is written to the file is a trigger to be polled for
/// (Documentation/accounting/psi.rst).
constexpr bool takes_triggers(const View& view) { return pressure_needed(view.needs).has_value(); }

/// Whether poll(2) on the file tells more than that it can be read and written.
constexpr bool is_polled(const View& view) { return takes_triggers(view); }

/// Whether the file is in sysfs. That tree is read-only, as the container's own is; root may write
/// to files of procfs.
constexpr bool is_of_sysfs(const View& view) { return starts_with(view.path, "sys/"); }

/// Files of a container's kernel log. They are not rendered from facts, so they have no `render`.
/// Only the tree of files that are polled has them.
inline constexpr View kDevKmsg{40, "dev/kmsg", 0644, 0, Changes::kAlways, nullptr};
inline constexpr View kProcKmsg{41, "proc/kmsg", 0400, 0, Changes::kAlways, nullptr};
inline constexpr const View* kLogViews[] = {&kDevKmsg, &kProcKmsg};
constexpr bool is_of_log(const View& view) { return view.render == nullptr; }

/// All others, by index.
const View* views_begin();
const View* views_end();

/// The view of `path` among these, or nullptr.
const View* find_view(std::string_view path);

/// Every index is below this (view/table.cc): containers keep figures of files in slots by it.
inline constexpr uint16_t kViewSlots = 64;

/// The view with `index`, those of kernel logs included, or nullptr.
const View* find_view(uint16_t index);

}  // namespace vprocfs
