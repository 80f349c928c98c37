#include "testing/announced_size.h"

#include <string>

#include "fuse/files/announced_size.h"
#include "testing/values.h"

namespace vprocfs {

Napi::Value announce_sizes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  AnnouncedSize announced;
  AnnouncedSize::Mark mark = announced.mark();
  const ValueMaker maker(env);
  const Napi::Array out = Napi::Array::New(env);
  reader.each(info[0], "steps", [&](Napi::Value step) {
    const Napi::Object of = reader.object(step, "step");
    const std::string what = reader.text(reader.member(of, "0"), "what");
    const uint64_t size = reader.integer(reader.member(of, "1"), "size", UINT32_MAX);
    if (reader.failed()) return;
    if (what == "tell") announced.tell(size);
    if (what == "again") announced.tell_again(size);
    if (what == "mark") mark = announced.mark();
    if (what == "note") announced.note(mark, size);
    out.Set(out.Length(), maker.integer(announced.size()));
  });
  if (reader.failed()) return env.Undefined();
  return out;
}

}  // namespace vprocfs
