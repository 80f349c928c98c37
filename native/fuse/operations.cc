#include "fuse/operations.h"

#include <array>
#include <cerrno>

namespace vprocfs {
namespace {

struct None {};

template <typename T>
constexpr size_t kBytes = sizeof(T);
template <>
constexpr size_t kBytes<None> = 0;

constexpr std::array<OperationRow, kOpcodes> make_rows() {
  std::array<OperationRow, kOpcodes> rows{};
#define VPROCFS_OPERATION(NAME, argument, measured, waiter, handler) \
  rows[FUSE_##NAME] = {#NAME, kBytes<argument>, Operation::measured, Waiter::waiter};
#include "fuse/operations.def"
#undef VPROCFS_OPERATION
  return rows;
}

constexpr std::array<OperationRow, kOpcodes> kRows = make_rows();
constexpr OperationRow kUnknown;

}  // namespace

const char* to_text(Operation operation) {
  static constexpr const char* kTexts[kOperations] = {"lookup", "getattr", "open", "read", "other"};
  return kTexts[static_cast<size_t>(operation)];
}

const OperationRow& operation_of(uint32_t opcode) {
  if (opcode < kOpcodes) return kRows[opcode];
  return kUnknown;
}

int answered_errno(uint32_t opcode, int code) {
  const bool is_gone = code == 0 || code == ENOENT;
  return opcode == FUSE_LOOKUP && !is_gone ? ENOMEM : code;
}

}  // namespace vprocfs
