#pragma once

#include <cstdint>
#include <string_view>

namespace vprocfs {

inline constexpr uint64_t kFnvSeed = 14695981039346656037u;

/// Adds bytes to a 64-bit FNV-1a hash, which begins with kFnvSeed.
constexpr uint64_t fnv(uint64_t hash, std::string_view bytes) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

}  // namespace vprocfs
