#include "fuse/answers.h"

#include <cerrno>

#include "node/node_id.h"

namespace vprocfs {

void Answers::fail(const Request& r, int errno_value) {
  counters.errors.fetch_add(1, std::memory_order_relaxed);
  r.set_failure(errno_value);
  reply.error(r.header().unique, errno_value);
}

void Answers::fail(const Request& r, const Error& error) {
  // Not an error of ours: what cannot be had, as the kernel says it.
  if (error.code == EOPNOTSUPP) return fail(r, EOPNOTSUPP);
  // Its tenant has too much already, or all have.
  if (error.code == ENFILE || error.code == EMFILE) return fail(r, ENFILE);
  const bool gone = error.code == ESRCH || error.code == ENOENT;
  if (!gone) counters.source_errors.fetch_add(1, std::memory_order_relaxed);
  fail(r, gone ? ESRCH : EIO);
}

void Answers::fail_lookup(const Request& r, const Error& error) {
  fail(r, error.code == ENFILE || error.code == EMFILE ? ENFILE : ENOENT);
}

void Answers::measure(const Request& r) {
  if (r.parked()) return;
  const NodeIndex index = NodeId(r.header().nodeid).index();
  const bool file = index >= kFirstFileIndex && index < kFirstDirIndex;
  measures.add(r.header().opcode, static_cast<uint16_t>(file ? index - kFirstFileIndex : 0),
               outcome_of(r.failure()), monotonic_ns() - r.taken_ns());
}

}  // namespace vprocfs
