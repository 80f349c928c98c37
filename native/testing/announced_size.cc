#include "fuse/files/announced_size.h"

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "container/container.h"
#include "fuse/files/container_files.h"
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

/// (text) -> of a file whose text the kernel caches, when the cgroup files of its container were
/// closed because others are in use: the size that the kernel is known to have, how many texts are
/// still held, and whether the kernel has another text than this one and than one that is longer.
std::vector<Number> close_sources(const std::string& text) {
  constexpr uint16_t kView = 1;
  Container container(ContainerDescription{}, SharedServices{},
                      std::make_shared<Tenant>(ContainerId(), nullptr, TenantRates{}));
  ContainerFiles& files = ContainerFiles::of(container);
  const auto cached = std::make_shared<CachedText>();
  cached->text = text;
  bool settling = false;
  static_cast<void>(files.hold_copy(kView, cached, settling));
  files.copy_settled(kView);
  static_cast<void>(files.set_mirror_text(1, text, Mirror::Growth::kNone, 1));
  static_cast<void>(container.take_idle_source());
  const bool has_copy = files.kernel_copy(kView) != nullptr;
  const bool has_mirrored = files.mirror_text(1) != nullptr;
  return {files.kernel_size(kView), has_copy + has_mirrored, files.kernel_has_other(kView, text),
          files.kernel_has_other(kView, text + "\n")};
}

}  // namespace

void add_announced_size(Napi::Object& exports) {
  add<announce_sizes>(exports, "announceSizes");
  add<close_sources>(exports, "closeSources");
}

}  // namespace vprocfs
