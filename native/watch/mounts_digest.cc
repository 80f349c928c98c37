#include "watch/mounts_digest.h"

namespace vprocfs {
namespace {

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

void MountsDigest::feed(std::string_view piece) {
  lines_.feed(piece, [this](std::string_view line) {
    const bool matters = contains(line, "/proc") || contains(line, "/sys") ||
                         contains(line, " - proc ") || contains(line, "/dev ") ||
                         contains(line, "/dev/kmsg ");
    if (matters) hash_ = fnv(hash_, line);
  });
}

}  // namespace vprocfs
