#include "view/stable.h"

#include <cstddef>

namespace vprocfs {
namespace {

constexpr size_t kStep = 64;

size_t with_room(size_t size) {
  const size_t wanted = size + size / 16 + kStep / 2;
  return (wanted + kStep - 1) / kStep * kStep;
}

/// Where blanks go so that a line ends at `seam`, and how many.
struct Gap {
  size_t at = 0, blanks = 0;
};

/// None when nothing lies beyond `seam`, or no line ends before it.
Gap gap_before(const std::string& text, size_t seam) {
  if (seam == 0 || text.size() <= seam) return {};
  const size_t end = text.rfind('\n', seam - 1);
  return end == std::string::npos ? Gap{} : Gap{end, seam - 1 - end};
}

}  // namespace

StableLength stabilise(std::string& text, StableLength before, bool fixed) {
  if (text.empty()) return {};
  StableLength now = text.size() < before.bytes / 2 ? StableLength{} : before;
  if (text.size() > now.bytes) {
    now.seam = fixed ? 0 : now.bytes;
    const size_t size = text.size() + gap_before(text, now.seam).blanks;
    now.bytes = static_cast<uint32_t>(fixed ? size : with_room(size));
  } else if (text.size() + gap_before(text, now.seam).blanks > now.bytes) {
    // By now nobody is likely to ask on from there.
    now.seam = 0;
  }
  const Gap gap = gap_before(text, now.seam);
  text.insert(gap.at, gap.blanks, ' ');
  const size_t last = text.find_last_not_of('\n');
  text.insert(last == std::string::npos ? 0 : last + 1, now.bytes - text.size(), ' ');
  return now;
}

}  // namespace vprocfs
