#include "keeper/mount_table.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/words.h"

namespace vprocfs {
namespace {

// Fields of a line of mountinfo: where the mount lies, and the first one after the hyphen.
constexpr int kPlaceField = 5;

/// The kernel writes blanks, newlines, backslashes and # as a backslash and three octal digits.
std::string unescaped(std::string_view field) {
  std::string out;
  for (; !field.empty(); field.remove_prefix(1)) {
    unsigned byte = 0;
    const bool escape = field.size() >= 4 && field[0] == '\\' &&
                        std::sscanf(std::string(field.substr(1, 3)).c_str(), "%3o", &byte) == 1;
    out += escape ? static_cast<char>(byte) : field[0];
    if (escape) field.remove_prefix(3);
  }
  return out;
}

}  // namespace

bool is_foreign(const KeeperOptions& options, const char* place) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> table(std::fopen("/proc/self/mountinfo", "re"),
                                                          close);
  if (!table) return false;
  bool foreign = false;
  char* buffer = nullptr;
  size_t size = 0;
  for (ssize_t n = 0; (n = ::getline(&buffer, &size, table.get())) > 0;) {
    std::string_view line = trim({buffer, static_cast<size_t>(n)});
    std::string_view where;
    for (int field = 1; field <= kPlaceField; ++field) where = take_word(line);
    if (unescaped(where) != place) continue;
    while (!line.empty() && take_word(line) != "-") {
    }
    // Of several at one place the last is on top.
    const std::string type = unescaped(take_word(line)), source = unescaped(take_word(line));
    foreign = type != options.type || source != options.source;
  }
  std::free(buffer);
  return foreign;
}

}  // namespace vprocfs
