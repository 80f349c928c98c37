#include "source/host_shapes.h"

#include <atomic>

#include "source/host_file.h"
#include "source/shape_parse.h"

namespace vprocfs {
namespace {

/// A file of the host and what it last said.
template <typename T>
class Shape {
 public:
  Shape(int procfs_fd, const char* path) : file_(procfs_fd, path) {}

  /// `parse(text)` gives the value, or nothing where the text makes no sense.
  template <typename Parse>
  Result<std::shared_ptr<const T>> get(uint64_t now_us, uint64_t tick_us, Parse parse) {
    return kept_.get(now_us, tick_us, [&] { return read_host<T>(file_, true, parse); });
  }

 private:
  HostFile file_;
  Kept<T> kept_;
};

}  // namespace

struct HostShapes::Impl {
  Impl(int procfs, bool fresh) : tick_us(fresh ? 0 : kSlowTickUs), procfs_fd(procfs) {}

  const uint64_t tick_us;
  const int procfs_fd;
#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  Shape<type> name{procfs_fd, path};
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE
  std::atomic<uint64_t> page_kb{0};
};

HostShapes::HostShapes(int procfs_fd, bool fresh)
    : impl_(std::make_unique<Impl>(procfs_fd, fresh)) {}
HostShapes::~HostShapes() = default;

#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  Result<std::shared_ptr<const type>> HostShapes::name(uint64_t now_us) {            \
    return impl_->name.get(now_us, impl_->tick_us, [now_us](std::string_view text) { \
      return parse_##name(text, now_us);                                             \
    });                                                                              \
  }
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE

uint64_t HostShapes::page_kb(const HostMeminfo& meminfo, uint64_t now_us) {
  constexpr uint64_t kUsual = 4, kLargest = 1024;
  if (const uint64_t known = impl_->page_kb.load(std::memory_order_relaxed)) return known;
  const auto figures = vmstat(now_us);
  if (!figures) return kUsual;
  uint64_t pages = 0;
  for (const auto& line : figures.value()->lines) {
    if (line.key == "nr_anon_pages" || line.key == "nr_mapped") pages += line.value;
  }
  const uint64_t kb = meminfo.value("AnonPages").value_or(0) + meminfo.value("Mapped").value_or(0);
  // They are read one after the other: the power of two that comes nearest.
  uint64_t page_kb = kUsual;
  if (pages > 0) {
    while (page_kb < kLargest && pages <= kb / 3 * 2 / page_kb) page_kb *= 2;
  }
  impl_->page_kb.store(page_kb, std::memory_order_relaxed);
  return page_kb;
}

}  // namespace vprocfs
