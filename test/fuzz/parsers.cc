// Every parser of a text that a kernel or a container writes. The first byte chooses the parser:
// those of files of the host follow the table, after the others (run.mjs counts the same way).

#include <iterator>
#include <string>

#include "source/container_id.h"
#include "input.h"
#include "klog/oom_kill.h"
#include "source/cgroup_mounts.h"
#include "source/host_parse.h"
#include "source/io_parse.h"
#include "source/parse.h"
#include "source/process_status.h"
#include "source/shape_parse.h"

using namespace vprocfs;

namespace {

using Parser = void (*)(std::string_view text);

constexpr Parser kParsers[] = {
    [](std::string_view text) { static_cast<void>(parse_meminfo(text)); },
    [](std::string_view text) { static_cast<void>(parse_stat(text)); },
    [](std::string_view text) { static_cast<void>(parse_cpuinfo(text)); },
    [](std::string_view text) {
      IoFacts facts;
      add_io_stat(text, facts);
    },
    [](std::string_view text) {
      IoFacts facts;
      add_io_max(text, facts);
    },
    [](std::string_view text) {
      IoFacts facts;
      add_blkio(text, IoUnit::kBytes, facts);
      add_blkio(text, IoUnit::kRequests, facts);
    },
    [](std::string_view text) { static_cast<void>(CgroupPaths::parse(std::string(text))); },
    [](std::string_view text) {
      if (const auto cpus = parse_cpu_list(text)) static_cast<void>(cpus->size());
    },
    [](std::string_view text) { static_cast<void>(parse_oom_kill(text)); },
    [](std::string_view text) { static_cast<void>(unescape_octal(text)); },
    [](std::string_view text) { static_cast<void>(parse_limit(text)); },
    [](std::string_view text) { static_cast<void>(ContainerId::parse(std::string(text))); },
    [](std::string_view text) {
      static_cast<void>(status_mask(text, "SigPnd"));
      static_cast<void>(status_numbers(text, "NSpid"));
    },
#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  [](std::string_view text) { static_cast<void>(parse_##name(text, 1)); },
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  fuzz::Input input(bytes, size);
  const uint8_t which = input.number<uint8_t>();
  kParsers[which % std::size(kParsers)](input.rest());
  return 0;
}
