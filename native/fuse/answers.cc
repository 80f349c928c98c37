#include "fuse/answers.h"

#include "base/clock.h"
#include "fuse/operations.h"
#include "node/node_id.h"

namespace vprocfs {

bool Answers::give(const RequestInfo& info, const Answer& answer) {
  if (answer.to_ == Answer::To::kElsewhere) return true;
  if (!answer.notice_) return write(info, answer);
  const Caller caller = Caller::of(info.header);
  unsettled.add(caller);
  const auto settled = [this, info, answer, request = caller.request] {
    answer.notice_();
    write(info, answer);
    unsettled.remove(request);
  };
  const auto instead = [this, info, answer, request = caller.request] {
    give_without_notice(info, answer);
    unsettled.remove(request);
  };
  notifier_.post(answer.lane_, settled, instead);
  return true;
}

void Answers::give_without_notice(const RequestInfo& info, const Answer& answer) {
  if (!leaves_.load(std::memory_order_relaxed)) {
    // sendfile(2) may read no further than the kernel knew before: who would wait for a notice now
    // could wait for ever. The next worker knows of nothing that was told, and tells it again.
    write(info, answer);
  } else if (answer.undo_) {
    answer.undo_();
  }
}

bool Answers::write(const RequestInfo& info, const Answer& answer) {
  bool taken = true;
  if (answer.to_ == Answer::To::kKernel) {
    const uint64_t unique = info.header.unique;
    const int code = answered_errno(info.header.opcode, answer.errno_);
    taken =
        code != 0 ? reply.error(unique, code) : reply.data(unique, answer.bytes(), answer.size());
  }
  if (!taken && answer.undo_) answer.undo_();
  count(info, answer);
  return taken;
}

void Answers::count(const RequestInfo& info, const Answer& answer) {
  if (answer.counts_as_error_) counters.errors.fetch_add(1, std::memory_order_relaxed);
  if (answer.source_failed_) counters.source_errors.fetch_add(1, std::memory_order_relaxed);
  const NodeIndex index = NodeId(info.header.nodeid).index();
  const bool file = index >= kFirstFileIndex && index < kFirstDirIndex;
  measures.add(info.header.opcode, static_cast<uint16_t>(file ? index - kFirstFileIndex : 0),
               outcome_of(answer.counts_as_error_ ? answer.errno_ : 0),
               clock_ns(CLOCK_MONOTONIC) - info.taken_ns);
}

}  // namespace vprocfs
