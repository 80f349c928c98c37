#pragma once

#include <cstdint>

namespace vprocfs {

/// An instruction of a compiled program that refers to a map, or to ".rodata", by its name.
struct BpfReference {
  uint32_t instruction;
  const char* name;
};

}  // namespace vprocfs
