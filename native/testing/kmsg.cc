#include "fuse/files/kmsg_cursor.h"
#include "klog/kmsg_text.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {

constexpr auto members(const WrittenText*) {
  using S = WrittenText;
  return std::tuple(member("priority", &S::priority), member("text", &S::text));
}

namespace {

/// A read of a reader, or where it seeks.
struct KmsgStep {
  uint32_t first = 0, next = 0;  ///< the first record there is, and the number of the next one
  std::optional<uint32_t> seek;
  std::optional<uint32_t> at, bytes;  ///< the offset that is read at, and the bytes that are read
};
constexpr auto members(const KmsgStep*) {
  using S = KmsgStep;
  return std::tuple(member("first", &S::first), member("next", &S::next), member("seek", &S::seek),
                    member("at", &S::at), member("bytes", &S::bytes));
}

/// (steps) -> what each read of one reader found: the number of a record, "nothing" or "loss".
std::vector<Napi::Value> follow_kmsg(Napi::Env env, const std::vector<KmsgStep>& steps) {
  KmsgCursor cursor;
  std::vector<Napi::Value> out;
  for (const KmsgStep& step : steps) {
    if (step.seek) {
      cursor.seek(*step.seek);
      continue;
    }
    const uint32_t at = step.at.value_or(0);
    switch (cursor.read_at(at, step.first, step.next)) {
      case KmsgCursor::ReadOutcome::kNothing:
        out.push_back(Napi::String::New(env, "nothing"));
        break;
      case KmsgCursor::ReadOutcome::kLoss:
        out.push_back(Napi::String::New(env, "loss"));
        break;
      case KmsgCursor::ReadOutcome::kRecord:
        out.push_back(Js<Number>::to(env, cursor.next));
        cursor.advance(at, step.bytes.value_or(0));
        break;
    }
  }
  return out;
}

}  // namespace

void add_kmsg(Napi::Object& exports) {
  // (bytes) -> { priority, text } of what was written to /dev/kmsg
  add<parse_written>(exports, "readWritten");
  // (sequence, timeUs, priority, text) -> a record as /dev/kmsg gives it
  add<kmsg_text>(exports, "writeKmsg");
  add<follow_kmsg>(exports, "followKmsg");
}

}  // namespace vprocfs
