#include "testing/processes.h"

#include <string>

#include "base/fd.h"
#include "source/process.h"
#include "source/process_status.h"
#include "testing/source.h"
#include "testing/values.h"

namespace vprocfs {

Napi::Value read_process(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "procDir");
  const auto pid = static_cast<pid_t>(reader.integer(info[1], "pid", INT32_MAX));
  if (reader.failed()) return env.Undefined();
  const auto proc = open_directory(dir);
  if (!proc) return throw_error(env, proc.error());
  const auto ticks = read_start_ticks(proc.value().get(), pid);
  if (!ticks) return throw_error(env, ticks.error());
  const auto inner = read_inner_pid(proc.value().get(), pid);
  if (!inner) return throw_error(env, inner.error());
  const auto paths = read_cgroup_paths(proc.value().get(), pid);
  if (!paths) return throw_error(env, paths.error());
  const ValueMaker maker(env);
  Napi::Object out = maker.object();
  out.Set("startTicks", maker.u64(ticks.value()));
  out.Set("innerPid", inner.value());
  out.Set("v2", paths.value().v2);
  out.Set("v1", maker.list(paths.value().v1, [&](const auto& path) { return maker.text(path); }));
  return out;
}

Napi::Value read_status(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const std::string text = reader.text(info[0], "text");
  const std::string name = reader.text(info[1], "name");
  if (reader.failed()) return info.Env().Undefined();
  const ValueMaker maker(info.Env());
  const auto field = status_field(text, name);
  Napi::Object out = maker.object();
  out.Set("field", field ? maker.text(std::string(*field)) : maker.null());
  out.Set("mask", maker.u64(status_mask(text, name)));
  out.Set("numbers", maker.list(status_numbers(text, name),
                                [&](uint64_t number) { return maker.u64(number); }));
  return out;
}

}  // namespace vprocfs
