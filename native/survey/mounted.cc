#include "survey/mounted.h"

#include "source/parse.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

struct Line {
  std::string_view device, mountpoint, type, source;

  bool is_lxcfs() const { return type.substr(0, 4) == "fuse" && source == "lxcfs"; }
};

/// proc(5): "36 35 98:0 /root /mountpoint options [optional fields] - type source options".
Line parse_line(std::string_view line) {
  Line out;
  take_word(line);
  take_word(line);
  out.device = take_word(line);
  take_word(line);
  out.mountpoint = take_word(line);
  while (!line.empty() && take_word(line) != "-") {
  }
  out.type = take_word(line);
  out.source = take_word(line);
  return out;
}

bool is_below_proc_or_sys(std::string_view path) {
  return path.substr(0, 6) == "/proc/" || path.substr(0, 5) == "/sys/";
}

}  // namespace

Devices lxcfs_devices(std::string_view mountinfo) {
  Devices out;
  for_each_line(mountinfo, [&](std::string_view text) {
    const Line line = parse_line(text);
    if (line.is_lxcfs()) out.emplace(line.device);
  });
  return out;
}

Mounted count_mounted(std::string_view mountinfo, std::string_view type, std::string_view source,
                      const Devices& lxcfs) {
  Mounted out;
  for_each_line(mountinfo, [&](std::string_view text) {
    const Line line = parse_line(text);
    if (!is_below_proc_or_sys(line.mountpoint)) return;
    if (line.type == type && line.source == source) {
      ++out.ours;
    } else if (line.is_lxcfs() && lxcfs.count(line.device) > 0) {
      ++out.lxcfs;
    }
  });
  return out;
}

std::optional<Mounted> mounted_files(int procfs_fd, int pid, std::string_view type,
                                     std::string_view source, const Devices& lxcfs) {
  const auto text = read_file(procfs_fd, std::to_string(pid) + "/mountinfo");
  if (!text) return std::nullopt;
  return count_mounted(text.value(), type, source, lxcfs);
}

}  // namespace vprocfs
