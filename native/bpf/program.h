#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "bpf/skeleton.h"

namespace vprocfs {

/// bpf(2): -1 and errno where it fails.
int bpf(int command, bpf_attr& attributes);

Result<Fd> make_bpf_map(bpf_map_type type, uint32_t key, uint32_t value, uint32_t count,
                        uint32_t flags);

/// What the program finds in its only variable, `layout`, which the kernel takes for constants
/// (Linux 5.5).
Result<Fd> make_bpf_constants(const void* value, uint32_t size);

/// A program from a skeleton (see native/bpf), and all that it refers to.
class BpfProgram {
 public:
  template <size_t N, size_t M>
  BpfProgram(const uint64_t (&instructions)[N], const BpfReference (&references)[M])
      : instructions_(instructions, instructions + N), references_(references, references + M) {}

  /// The map that the program calls `name`.
  void set_map(std::string_view name, int map_fd) { set(name, BPF_PSEUDO_MAP_FD, map_fd); }
  /// Where its variable is.
  void set_constants(int map_fd) { set("layout", BPF_PSEUDO_MAP_VALUE, map_fd); }

  /// `name` is what bpftool shows. `expected` and `function` (a type id of KernelTypes) are for
  /// types of programs that want them. Errors: EPERM, or what the kernel's verifier says.
  template <size_t N>
  Result<Fd> load(const char (&name)[N], bpf_prog_type type, uint32_t expected = 0,
                  uint32_t function = 0) const {
    static_assert(N <= BPF_OBJ_NAME_LEN);
    return load_named(std::string_view(name, N - 1), type, expected, function);
  }

 private:
  void set(std::string_view name, uint8_t kind, int fd);
  Result<Fd> load_named(std::string_view name, bpf_prog_type type, uint32_t expected,
                        uint32_t function) const;

  std::vector<uint64_t> instructions_;
  std::vector<BpfReference> references_;
};

}  // namespace vprocfs
