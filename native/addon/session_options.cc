#include "addon/session_options.h"

#include <optional>
#include <string>

#include "addon/bind.h"

namespace vprocfs {

SessionOptions session_options_of(const Given& options) {
  SessionOptions out;
  const auto text = [](const Given& of, const char* name) {
    return of.member(name).as<std::string>();
  };
  const auto number = [](const Given& of, const char* name, uint32_t low, uint32_t high) {
    return of.member(name).between(low, high);
  };
  out.engine.plain.mountpoint = text(options, "mountpoint");
  const auto polled = options.member("polledMountpoint").as<std::optional<std::string>>();
  out.engine.polled.mountpoint = polled.value_or("");
  out.engine.type = text(options, "fsType");
  out.engine.source = text(options, "source");
  out.engine.max_threads = number(options, "maxThreads", 2, 256);
  out.engine.server.max_open_per_tenant = number(options, "maxOpenPerContainer", 1, 65535);
  out.engine.server.tick_us = uint64_t{1000} * number(options, "tickMs", 1, 1000);
  out.engine.server.renders_per_second = number(options, "rendersPerSecond", 0, 10000000);
  constexpr uint64_t kUsPerPercent = 10000;
  out.engine.server.cpu_us_per_second =
      kUsPerPercent * number(options, "maxCpuPerContainer", 0, 25600);
  out.engine.server.max_triggers_per_tenant = number(options, "maxTriggersPerContainer", 0, 1024);
  const std::string bpf = text(options, "bpf");
  out.engine.bpf = bpf == "auto";
  if (!out.engine.bpf && bpf != "off") options.member("bpf").wrong("\"auto\" or \"off\"");
  const std::string consistency = text(options, "consistency");
  out.engine.server.tick = consistency == "tick";
  if (!out.engine.server.tick && consistency != "exact") {
    options.member("consistency").wrong("\"exact\" or \"tick\"");
  }
  out.engine.kernel_log = options.member("kernelLog").as<std::optional<bool>>().value_or(false);
  if (const Given inherit = options.member("inherit"); inherit.value.IsObject()) {
    const auto fd = [&](const char* name) {
      return static_cast<int>(number(inherit, name, 3, 65535));
    };
    out.engine.plain.fuse_fd = fd("fuseFd");
    out.engine.plain.state_fd = fd("stateFd");
    out.control_fd = fd("controlFd");
    const auto device = [&](const char* name) {
      return inherit.member(name).as<std::optional<uint32_t>>().value_or(0);
    };
    out.engine.plain.device = device("device");
    out.engine.polled.device = device("polledDevice");
    if (inherit.member("polledFuseFd").value.IsNumber()) {
      out.engine.polled.fuse_fd = fd("polledFuseFd");
      out.engine.polled.state_fd = fd("polledStateFd");
    } else {
      out.engine.polled.mountpoint.clear();
    }
  }
  const auto metrics = options.member("metricsAddress").as<std::optional<std::string>>();
  out.engine.metrics_address = metrics.value_or("");
  if (const Given calls = options.member("calls"); calls.value.IsObject()) {
    out.engine.agent.directory = text(calls, "directory");
    out.engine.agent.calls_per_second = number(calls, "perSecond", 0, 10000000);
    out.engine.agent.patience_us = uint64_t{1000} * number(calls, "patienceMs", 0, 3600000);
    out.engine.agent.answers.affinity = calls.member("affinity").as<bool>();
  }
  return out;
}

}  // namespace vprocfs
