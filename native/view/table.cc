#include <array>

#include "view/view.h"

namespace vprocfs {

#define VPROCFS_VIEW(index, path, mode, needs, changes, render) void render(const Facts&, Writer&);
#include "view/views.def"
#undef VPROCFS_VIEW

namespace {

constexpr View kViews[] = {
#define VPROCFS_VIEW(index, path, mode, needs, changes, render) \
  {index, path, mode, needs, Changes::changes, render},
#include "view/views.def"
#undef VPROCFS_VIEW
};

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
  return true;
}
static_assert(indexes_are_usable(),
              "views.def: an index or a path stands twice or is out of range");

}  // namespace

const View* views_begin() { return std::begin(kViews); }
const View* views_end() { return std::end(kViews); }

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
