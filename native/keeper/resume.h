#pragma once

#include <cstdint>

#include "keeper/connection.h"

namespace vprocfs {

/// What a keeper that executes itself again tells its successor, in its environment.
struct Resume {
  int fuse_fd = -1, state_fd = -1, refusal_fd = -1, control_fd = -1, worker_pid = 0;
  uint32_t generation = 0, restarts = 0;
  uint64_t born_ms = 0, worker_started_ms = 0, resent = 0, requests = 0, device = 0;
  ConnectionState negotiated;
  int fd_store_fd = -1;  ///< -1: the earlier self stored nothing for workers
  int memo_fd = -1;      ///< -1: the earlier self had no memo
  int launch_fd = -1;    ///< -1: the earlier self knew nothing of how it was launched
  /// Of the connection for files that are polled; -1: there was none. What was negotiated on it is
  /// in the memo.
  int polled_fuse_fd = -1, polled_state_fd = -1, polled_refusal_fd = -1;
  uint32_t connections = 1;  ///< that the worker serves
  int listener_fd = -1;      ///< the control socket; -1: the earlier self had none, or kept it
};

enum class Inherited : uint8_t { kNothing, kAll, kUnknown };

/// kUnknown: something is there that another version wrote.
Inherited read_resume(Resume& out);
void write_resume(const Resume& resume);
void clear_resume();

/// Makes the inherited descriptors ours.
void take_over(const Resume& resume, Connection& out);
/// The same for the connection of files that are polled; false when there is none.
bool take_over_polled(const Resume& resume, const MemoRecord& known, Connection& out);

}  // namespace vprocfs
