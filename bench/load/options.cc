#include "options.h"

#include <getopt.h>

#include <cstdio>
#include <cstdlib>

namespace vprocfs_bench {
namespace {

const char kHelp[] =
    "Reads files (open, read to the end of file, close) and prints latencies as JSON.\n"
    "usage: load --path FILE... (--seconds S | --count N) [options]\n"
    "  --path FILE        may be repeated: a round reads every file once\n"
    "  --seconds S        stop after this time\n"
    "  --count N          stop after this many rounds of each thread\n"
    "  --warmup N         rounds of each thread that are not measured (10)\n"
    "  --threads N        per process (1)\n"
    "  --rate R           rounds per second and thread, sent when due, late ones are not left "
    "out;\n"
    "                     0 as fast as they go (0)\n"
    "  --single           one read(2) per open, as procps does\n"
    "  --poller           put each file into an epoll set first, as Go's os.Open does\n"
    "  --buffer BYTES     of each read(2) (65536)\n"
    "  --min-bytes BYTES  less is counted as a short read\n"
    "  --enter PID[:CGROUP-DIRECTORY]...\n"
    "                     run in that process's namespaces and in these cgroups; may be repeated:\n"
    "                     one process in each container\n"
    "SIGTERM ends it early, with the result so far.\n";

[[noreturn]] void refuse(const char* message, const char* value) {
  std::fprintf(stderr, "load: %s%s\n", message, value);
  std::exit(2);
}

double number(const char* name, const char* text) {
  char* rest = nullptr;
  const double value = std::strtod(text, &rest);
  // The negation also refuses NaN.
  if (rest == text || *rest != '\0' || !(value >= 0.0 && value <= 1e12)) {
    std::fprintf(stderr, "load: --%s: not a number: %s\n", name, text);
    std::exit(2);
  }
  return value;
}

const option kLong[] = {
    {"path", required_argument, nullptr, 'p'},
    {"seconds", required_argument, nullptr, 's'},
    {"count", required_argument, nullptr, 'c'},
    {"warmup", required_argument, nullptr, 'w'},
    {"threads", required_argument, nullptr, 't'},
    {"rate", required_argument, nullptr, 'r'},
    {"single", no_argument, nullptr, '1'},
    {"poller", no_argument, nullptr, 'g'},
    {"buffer", required_argument, nullptr, 'b'},
    {"min-bytes", required_argument, nullptr, 'm'},
    {"enter", required_argument, nullptr, 'e'},
    {"help", no_argument, nullptr, 'h'},
    {nullptr, 0, nullptr, 0},
};

void take(int key, const char* value, Options& options) {
  switch (key) {
    case 'p':
      options.paths.emplace_back(value);
      return;
    case 's':
      options.seconds = number("seconds", value);
      return;
    case 'c':
      options.count = static_cast<uint64_t>(number("count", value));
      return;
    case 'w':
      options.warmup = static_cast<uint64_t>(number("warmup", value));
      return;
    case 't':
      options.threads = static_cast<unsigned>(number("threads", value));
      return;
    case 'r':
      options.rate = number("rate", value);
      return;
    case '1':
      options.single = true;
      return;
    case 'g':
      options.poller = true;
      return;
    case 'b':
      options.buffer = static_cast<size_t>(number("buffer", value));
      return;
    case 'm':
      options.min_bytes = static_cast<size_t>(number("min-bytes", value));
      return;
    case 'e':
      options.containers.emplace_back();
      if (!parse_container(value, options.containers.back())) {
        refuse("--enter: not PID[:CGROUP-DIRECTORY]...: ", value);
      }
      return;
    case 'h':
      std::fputs(kHelp, stdout);
      std::exit(0);
    default:
      std::exit(2);
  }
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  for (int key = 0; (key = getopt_long(argc, argv, "", kLong, nullptr)) != -1;) {
    take(key, optarg, options);
  }
  if (optind < argc) {
    refuse("unexpected argument: ", argv[optind]);
  }
  if (options.paths.empty()) {
    refuse("--path is missing; see --help", "");
  }
  if ((options.seconds > 0.0) == (options.count > 0)) {
    refuse("either --seconds or --count is needed", "");
  }
  if (options.threads == 0 || options.threads > 4096 || options.buffer == 0) {
    refuse("--threads (1..4096) and --buffer must be positive", "");
  }
  return options;
}

}  // namespace vprocfs_bench
