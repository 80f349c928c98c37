#include "testing/kmsg.h"

#include <string>

#include "fuse/files/kmsg_cursor.h"
#include "klog/kmsg_text.h"
#include "testing/values.h"

namespace vprocfs {

Napi::Value read_written(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const std::string bytes = reader.text(info[0], "bytes");
  if (reader.failed()) return info.Env().Undefined();
  const WrittenText written = parse_written(bytes);
  const ValueMaker maker(info.Env());
  Napi::Object out = maker.object();
  out.Set("priority", maker.integer(written.priority));
  out.Set("text", maker.text(std::string(written.text)));
  return out;
}

Napi::Value write_kmsg(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const uint64_t sequence = reader.u64(info[0], "sequence");
  const uint64_t time_us = reader.u64(info[1], "timeUs");
  const uint32_t priority = reader.integer(info[2], "priority", UINT16_MAX);
  const std::string text = reader.text(info[3], "text");
  if (reader.failed()) return info.Env().Undefined();
  return ValueMaker(info.Env())
      .text(kmsg_text(sequence, time_us, static_cast<uint16_t>(priority), text));
}

Napi::Value follow_kmsg(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  KmsgCursor cursor;
  Napi::Array out = Napi::Array::New(env);
  reader.each(info[0], "steps", [&](Napi::Value one) {
    const Napi::Object step = reader.object(one, "step");
    const uint32_t first = reader.integer(reader.member(step, "first"), "first", UINT32_MAX);
    const uint32_t next = reader.integer(reader.member(step, "next"), "next", UINT32_MAX);
    if (reader.failed()) return;
    if (step.Has("seek")) {
      cursor.seek(reader.integer(reader.member(step, "seek"), "seek", UINT32_MAX));
      return;
    }
    const uint32_t at = reader.integer(reader.member(step, "at"), "at", UINT32_MAX);
    const uint32_t bytes = reader.integer(reader.member(step, "bytes"), "bytes", UINT32_MAX);
    switch (cursor.read_at(at, first, next)) {
      case KmsgCursor::ReadOutcome::kNothing:
        out.Set(out.Length(), "nothing");
        break;
      case KmsgCursor::ReadOutcome::kLoss:
        out.Set(out.Length(), "loss");
        break;
      case KmsgCursor::ReadOutcome::kRecord:
        out.Set(out.Length(), Napi::Number::New(env, static_cast<double>(cursor.next)));
        cursor.advance(at, bytes);
        break;
    }
  });
  if (reader.failed()) return env.Undefined();
  return out;
}

}  // namespace vprocfs
