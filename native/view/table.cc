#include <array>

#include "view/view.h"

namespace vprocfs {

// A row of facts/host_files.def is one of these too.
#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  VPROCFS_VIEW(index, "proc/" path, mode, kNeedHost##Name | (others), changes, render_##name)

#define VPROCFS_VIEW(index, path, mode, needs, changes, render) void render(const Facts&, Writer&);
#include "facts/host_files.def"
#include "view/views.def"
#undef VPROCFS_VIEW

namespace {

#define VPROCFS_VIEW(index, path, mode, needs, changes, render) \
  View{index, path, mode, needs, Changes::changes, render},
constexpr std::array kRows = {
#include "facts/host_files.def"
#include "view/views.def"
};
#undef VPROCFS_VIEW
#undef VPROCFS_HOST_FILE

/// By index.
constexpr auto sorted(std::array<View, kRows.size()> views) {
  for (size_t i = 1; i < views.size(); ++i) {
    for (size_t at = i; at > 0 && views[at].index < views[at - 1].index; --at) {
      const View moved = views[at];
      views[at] = views[at - 1];
      views[at - 1] = moved;
    }
  }
  return views;
}
constexpr auto kViews = sorted(kRows);

constexpr bool indexes_are_usable() {
  for (const View& view : kViews) {
    if (view.index < 1 || view.index >= kViewSlots) return false;
    for (const View& other : kViews) {
      if (&other != &view && (other.index == view.index || other.path == view.path)) return false;
    }
    for (const View* log : kLogViews) {
      if (log->index == view.index || log->path == view.path) return false;
    }
  }
  for (const View* log : kLogViews) {
    if (log->index >= kViewSlots) return false;
  }
  return true;
}
static_assert(indexes_are_usable(),
              "views.def, host_files.def: an index or a path stands twice or is out of range");

}  // namespace

const View* views_begin() { return kViews.data(); }
const View* views_end() { return kViews.data() + kViews.size(); }

const View* find_view(std::string_view path) {
  for (const View& view : kViews) {
    if (view.path == path) return &view;
  }
  return nullptr;
}

const View* find_view(uint16_t index) {
  for (const View& view : kViews) {
    if (view.index == index) return &view;
  }
  for (const View* view : kLogViews) {
    if (view->index == index) return view;
  }
  return nullptr;
}

}  // namespace vprocfs
