#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/words.h"
#include "facts/cpu_set.h"

namespace vprocfs {

/// CPU ids at or above this are not believed (CONFIG_NR_CPUS is at most 8192).
inline constexpr uint32_t kMaxCpuId = 65535;

/// A limit of this many bytes or more is how cgroup v1 spells "no limit" (near 2^63, rounded down
/// to the size of a page or a huge page).
inline constexpr uint64_t kNoLimitBytes = uint64_t{1} << 62;

size_t count_words(std::string_view text);

/// A decimal number, alone but for white space around it. A number too large for 64 bits is
/// UINT64_MAX; anything else ("max", "-1", an empty text, garbage) is nothing.
std::optional<uint64_t> parse_u64(std::string_view text);

/// A limit in bytes: as parse_u64, and nothing where it is `kNoLimitBytes` or more.
std::optional<uint64_t> parse_limit(std::string_view text);

/// A list of CPUs as the kernel prints it ("0-3,7"). Nothing for an empty text, for garbage, and
/// for ids above kMaxCpuId.
std::optional<CpuSet> parse_cpu_list(std::string_view text);

/// Undoes the kernel's octal escapes (fs/seq_file.c mangle_path: "\040" is a blank).
std::string unescape_octal(std::string_view text);

/// One key of a table of "key value" lines, and where its value belongs.
template <typename T>
struct Key {
  std::string_view name;
  std::optional<uint64_t> T::*field;
};

/// Fills `out` from "key value" lines. Keys are matched whole; those not in `keys` are passed over,
/// and those without a number stay as they are. Nothing is looked at once all have been found.
template <typename T, size_t N>
void parse_table(std::string_view text, const Key<T> (&keys)[N], T& out) {
  std::bitset<N> found;
  // Tables list keys in the kernel's order, so the next key is mostly found at once.
  size_t at = 0;
  while (!text.empty() && !found.all()) {
    std::string_view line = take_line(text);
    const std::string_view name = take_word(line);
    for (size_t tries = 0, i = at; tries < N; ++tries) {
      const size_t tried = i;
      if (++i == N) i = 0;
      if (keys[tried].name != name) continue;
      if (const auto value = parse_u64(line)) out.*keys[tried].field = value;
      found.set(tried);
      at = i;
      break;
    }
  }
}

}  // namespace vprocfs
