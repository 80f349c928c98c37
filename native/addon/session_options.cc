#include "addon/session_options.h"

#include <string>

#include "addon/arguments.h"

namespace vprocfs {

SessionOptions session_options_of(Napi::Env env, const Napi::Object& object) {
  SessionOptions out;
  Arguments arguments(env, object);
  out.engine.plain.mountpoint = arguments.text("mountpoint");
  if (!object.Get("polledMountpoint").IsUndefined()) {
    out.engine.polled.mountpoint = arguments.text("polledMountpoint");
  }
  out.engine.type = arguments.text("fsType");
  out.engine.source = arguments.text("source");
  out.engine.max_threads = arguments.number("maxThreads", 2, 256);
  out.engine.server.max_open_per_tenant = arguments.number("maxOpenPerContainer", 1, 65535);
  out.engine.server.tick_us = uint64_t{1000} * arguments.number("tickMs", 1, 1000);
  out.engine.server.renders_per_second = arguments.number("rendersPerSecond", 0, 10000000);
  constexpr uint64_t kUsPerPercent = 10000;
  out.engine.server.cpu_us_per_second =
      kUsPerPercent * arguments.number("maxCpuPerContainer", 0, 25600);
  out.engine.server.max_triggers_per_tenant = arguments.number("maxTriggersPerContainer", 0, 1024);
  const std::string bpf = arguments.text("bpf");
  out.engine.bpf = bpf == "auto";
  if (!out.engine.bpf && bpf != "off") arguments.wrong("bpf", "\"auto\" or \"off\"");
  const std::string consistency = arguments.text("consistency");
  out.engine.server.tick = consistency == "tick";
  if (!out.engine.server.tick && consistency != "exact") {
    arguments.wrong("consistency", "\"exact\" or \"tick\"");
  }
  out.engine.kernel_log = object.Get("kernelLog").ToBoolean();
  if (const Napi::Value inherit = object.Get("inherit"); inherit.IsObject()) {
    Arguments inherited(env, inherit.As<Napi::Object>());
    const auto fd = [&inherited](const char* name) {
      return static_cast<int>(inherited.number(name, 3, 65535));
    };
    out.engine.plain.fuse_fd = fd("fuseFd");
    out.engine.plain.state_fd = fd("stateFd");
    out.control_fd = fd("controlFd");
    if (inherit.As<Napi::Object>().Get("polledFuseFd").IsNumber()) {
      out.engine.polled.fuse_fd = fd("polledFuseFd");
      out.engine.polled.state_fd = fd("polledStateFd");
    } else {
      out.engine.polled.mountpoint.clear();
    }
  }
  if (const Napi::Value calls = object.Get("calls"); calls.IsObject()) {
    Arguments wanted(env, calls.As<Napi::Object>());
    out.engine.agent.directory = wanted.text("directory");
    out.engine.agent.calls_per_second = wanted.number("perSecond", 0, 10000000);
    out.engine.agent.patience_us = wanted.number("patienceMs", 0, 3600000) * 1000;
    out.engine.agent.answers.affinity = wanted.flag("affinity");
  }
  return out;
}

}  // namespace vprocfs
