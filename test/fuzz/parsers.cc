// Every parser of a text that a kernel or a container writes. The first byte chooses the parser.

#include <string>

#include "container/id.h"
#include "input.h"
#include "klog/oom_kill.h"
#include "source/cgroup_mounts.h"
#include "source/host_parse.h"
#include "source/io_parse.h"
#include "source/parse.h"
#include "source/shape_parse.h"

using namespace vprocfs;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  fuzz::Input input(bytes, size);
  const uint8_t which = input.number<uint8_t>();
  const std::string_view text = input.rest();
  switch (which % 20) {
    case 0:
      static_cast<void>(parse_meminfo(text));
      break;
    case 1:
      static_cast<void>(parse_stat(text));
      break;
    case 2:
      static_cast<void>(parse_swaps(text));
      break;
    case 3:
      static_cast<void>(parse_cpuinfo(text));
      break;
    case 4:
      static_cast<void>(parse_diskstats(text));
      break;
    case 5:
      static_cast<void>(parse_partitions(text));
      break;
    case 6:
      static_cast<void>(parse_vmstat(text));
      break;
    case 7:
      static_cast<void>(parse_buddyinfo(text));
      break;
    case 8:
      static_cast<void>(parse_zoneinfo(text));
      break;
    case 9:
      static_cast<void>(parse_cpu_table(text));
      break;
    case 10:
      static_cast<void>(parse_schedstat(text, 1));
      break;
    case 11: {
      IoFacts facts;
      add_io_stat(text, facts);
      break;
    }
    case 12: {
      IoFacts facts;
      add_io_max(text, facts);
      break;
    }
    case 13: {
      IoFacts facts;
      add_blkio(text, IoUnit::kBytes, facts);
      add_blkio(text, IoUnit::kRequests, facts);
      break;
    }
    case 14:
      static_cast<void>(CgroupPaths::parse(std::string(text)));
      break;
    case 15:
      static_cast<void>(parse_oom_kill(text));
      break;
    case 16:
      if (const auto cpus = parse_cpu_list(text)) static_cast<void>(cpus->size());
      break;
    case 17:
      static_cast<void>(unescape_octal(text));
      break;
    case 18:
      static_cast<void>(parse_limit(text));
      break;
    default:
      static_cast<void>(ContainerId::parse(std::string(text)));
      break;
  }
  return 0;
}
