#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>

namespace vprocfs {

/// What is told apart when times are measured.
enum class Operation : uint8_t { kLookup, kGetattr, kOpen, kRead, kOther };
inline constexpr size_t kOperations = 5;
const char* to_text(Operation operation);

/// Who waits for the answer to a request.
enum class Waiter : uint8_t {
  kNobody,
  kKernel,  ///< others' requests may queue behind it, or its caller is within an execve(2)
  kCaller,
  kLock,  ///< the caller, for whom the kernel holds the directory's lock meanwhile
};

/// Opcodes from here on are unknown to us: those of FUSE end at 53 (7.45).
inline constexpr uint32_t kOpcodes = 64;

/// A row of operations.def.
struct OperationRow {
  const char* name = nullptr;  ///< "OPEN"; nullptr: there is no such row
  size_t least_bytes = 0;      ///< of the request's argument
  Operation measured = Operation::kOther;
  Waiter waiter = Waiter::kKernel;
};

/// The row of an opcode, whatever it is.
const OperationRow& operation_of(uint32_t opcode);

/// The errno with which a request is answered that failed with `code`. Of a name that it knows
/// already the kernel takes every error of a LOOKUP but ENOMEM for proof that it is gone, and
/// detaches all that is mounted below it, in every mount namespace (fuse_dentry_revalidate()).
int answered_errno(uint32_t opcode, int code);

}  // namespace vprocfs
