#include "fuse/files/announced_size.h"

#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

using Steps = std::vector<std::tuple<std::string, uint32_t>>;

/// ([[what, size]]) -> the size that the kernel was told last, after each: "tell" and "again" in an
/// answer, "mark" before a notice, "note" after it
std::vector<Number> announce_sizes(const Steps& steps) {
  AnnouncedSize announced;
  AnnouncedSize::Mark mark = announced.mark();
  std::vector<Number> out;
  for (const auto& [what, size] : steps) {
    if (what == "tell") announced.tell(size);
    if (what == "again") announced.tell_again(size);
    if (what == "mark") mark = announced.mark();
    if (what == "note") announced.note(mark, size);
    out.emplace_back(announced.size());
  }
  return out;
}

}  // namespace

void add_announced_size(Napi::Object& exports) { add<announce_sizes>(exports, "announceSizes"); }

}  // namespace vprocfs
