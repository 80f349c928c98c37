#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace vprocfs {

// What the text of /proc/<pid>/status says. `name` is a field's, without its colon ("CapEff").

/// What stands on a field's line, without white space around it; nothing where there is no such
/// line. A process cannot make up a line: the kernel escapes the newlines of its name.
std::optional<std::string_view> status_field(std::string_view text, std::string_view name);

/// A set of 64 bits, in hex: signals and capabilities. Nothing where there is no such line, or
/// something else on it.
std::optional<uint64_t> status_mask(std::string_view text, std::string_view name);

/// The decimal numbers of a line, of which there may be several: PIDs, groups. Empty where there is
/// no such line, or something else on it.
std::vector<uint64_t> status_numbers(std::string_view text, std::string_view name);

}  // namespace vprocfs
