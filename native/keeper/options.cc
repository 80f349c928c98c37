#include "keeper/options.h"

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace vprocfs {
namespace {

bool parse_ms(const char* text, uint32_t& out) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text, &end, 10);
  if (end == text || *end != '\0' || value == 0 || value > 3600000) return false;
  out = static_cast<uint32_t>(value);
  return true;
}

bool parse_level(const char* text, LogLevel& out) {
  for (const LogLevel level :
       {LogLevel::kError, LogLevel::kWarn, LogLevel::kInfo, LogLevel::kDebug}) {
    if (std::strcmp(text, to_text(level)) == 0) return out = level, true;
  }
  return false;
}

bool take(const char* name, const char* value, KeeperOptions& o) {
  const auto is = [name](const char* flag) { return std::strcmp(name, flag) == 0; };
  if (is("--mountpoint")) return o.mountpoint = value, true;
  if (is("--polled")) return o.polled = value, true;
  if (is("--type")) return o.type = value, true;
  if (is("--source")) return o.source = value, true;
  if (is("--rest")) return o.rest = value, true;
  if (is("--socket")) return o.socket = value, true;
  if (is("--consistency")) return o.tick = std::strcmp(value, "tick") == 0, true;
  if (is("--log-format")) return o.log.json = std::strcmp(value, "json") == 0, true;
  if (is("--log-level")) return parse_level(value, o.log.level);
  if (is("--standby")) return o.standby = std::strcmp(value, "on") == 0, true;
  if (is("--watchdog-ms")) return parse_ms(value, o.watchdog_ms);
  if (is("--start-ms")) return parse_ms(value, o.start_ms);
  if (is("--drain-ms")) return parse_ms(value, o.drain_ms);
  if (is("--stop-ms")) return parse_ms(value, o.stop_ms);
  if (is("--hold-ms")) return parse_ms(value, o.hold_ms);
  if (is("--check")) return o.check = true, true;
  if (is("--launch")) return o.launch = true, true;
  if (is("--unchanged")) return true;  // For the next keeper: see keeper/launch.h.
  if (is("--patience-ms")) return parse_ms(value, o.patience_ms);
  return false;
}

}  // namespace

int leave_signal() { return SIGRTMIN; }

sigset_t keeper_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, leave_signal()}) {
    ::sigaddset(&set, s);
  }
  return set;
}

bool parse_options(int argc, char** argv, KeeperOptions& out) {
  out.self = argv;
  out.log.journal = stderr_is_journal();
  int at = 1;
  for (; at < argc && std::strcmp(argv[at], "--") != 0; at += 2) {
    if (at + 1 >= argc || !take(argv[at], argv[at + 1], out)) {
      std::fprintf(stderr, "vprocfs-keeper: bad option %s\n", argv[at]);
      return false;
    }
  }
  if (at < argc - 1) out.worker = argv + at + 1;
  if (out.hold_ms != 0) return true;
  if ((out.mountpoint != nullptr || out.launch) && out.worker != nullptr) return true;
  std::fprintf(stderr,
               "vprocfs-keeper: usage: vprocfs-keeper --mountpoint DIR [--type TYPE] "
               "[--source SOURCE] [--socket PATH] -- WORKER [ARGUMENT]...\n");
  return false;
}

}  // namespace vprocfs
