#include "survey/mounted.h"

#include <string>

#include "source/parse.h"
#include "source/read_file.h"

namespace vprocfs {

size_t count_mounted(std::string_view mountinfo, std::string_view type, std::string_view source) {
  size_t count = 0;
  // proc(5): "36 35 98:0 /root /mountpoint options [optional fields] - type source options".
  for_each_line(mountinfo, [&](std::string_view line) {
    for (int field = 0; field < 4; ++field) take_word(line);
    const std::string_view mountpoint = take_word(line);
    if (mountpoint.substr(0, 6) != "/proc/" && mountpoint.substr(0, 5) != "/sys/") return;
    while (!line.empty() && take_word(line) != "-") {
    }
    if (take_word(line) == type && take_word(line) == source) ++count;
  });
  return count;
}

std::optional<size_t> mounted_files(int procfs_fd, int pid, std::string_view type,
                                    std::string_view source) {
  const auto text = read_file(procfs_fd, std::to_string(pid) + "/mountinfo");
  if (!text) return std::nullopt;
  return count_mounted(text.value(), type, source);
}

}  // namespace vprocfs
