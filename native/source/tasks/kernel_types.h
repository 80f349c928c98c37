#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "bpf/pid_layout.h"

namespace vprocfs {

/// The running kernel's description of its own types (BTF, Documentation/bpf/btf.rst): where the
/// fields of its structures lie. Immutable.
class KernelTypes {
 public:
  /// Those of the kernel that runs. ENOENT where it does not tell.
  static Result<KernelTypes> read(int sysfs_fd);

  /// Where `member` lies in `structure`, in bytes. Members of unnamed structures and unions in it
  /// count as its own. Nothing where this kernel has no such field, or it is a bit field.
  std::optional<uint32_t> offset(std::string_view structure, std::string_view member) const;

  /// The size of a structure in bytes.
  std::optional<uint32_t> size(std::string_view structure) const;

  /// The type id of a function, as BPF programs are attached by.
  std::optional<uint32_t> function(std::string_view name) const;

  /// The value of an enumerator of `enumeration`.
  std::optional<uint32_t> enumerator(std::string_view enumeration, std::string_view name) const;

 private:
  explicit KernelTypes(Mapping pages) : pages_(std::move(pages)) {}
  static Result<KernelTypes> parse(Mapping pages);
  std::string_view bytes() const { return {pages_.as<char>(), pages_.size()}; }
  std::optional<uint32_t> find(uint32_t kind, std::string_view name) const;
  std::optional<uint32_t> member_bits(uint32_t id, std::string_view member, unsigned depth) const;
  std::string_view name_at(uint32_t offset) const;
  template <typename T>
  T at(size_t offset) const;

  Mapping pages_;  ///< malloc would keep the megabytes when they are free again
  std::string_view strings_;
  std::vector<uint32_t> types_;  ///< where each type begins, by type id; 0 is void
};

/// Looks fields up that must all be there, and remembers the first that is not.
class RequiredFields {
 public:
  explicit RequiredFields(const KernelTypes& types) : types_(types) {}

  /// Where `member` lies in `structure`; 0 where it is missing.
  uint32_t operator()(const char* structure, const char* member);
  /// The size of a structure; 0 where it is missing.
  uint32_t size(const char* structure);

  /// ENOENT with what is missing; nothing where all is there.
  const std::optional<Error>& missing() const { return missing_; }

 private:
  uint32_t found(const std::optional<uint32_t>& value, const std::string& name);

  const KernelTypes& types_;
  std::optional<Error> missing_;
};

/// Where this kernel has what programs read of a struct pid.
PidLayout pid_layout(RequiredFields& field);

}  // namespace vprocfs
