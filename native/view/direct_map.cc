#include "view/direct_map.h"

#include <algorithm>

#include "base/wide.h"
#include "base/words.h"

namespace vprocfs {

DirectMap::DirectMap(const HostMeminfo& host, uint64_t total_kb) {
  uint64_t host_sum = 0;
  for (const HostMeminfoLine& line : host.lines) {
    const uint64_t page = page_kb(line.label);
    if (page == 0 || count_ == sizes_.size()) continue;
    sizes_[count_++] = {page, line.value, 0};
    host_sum = saturating_add(host_sum, line.value);
  }
  const auto end = sizes_.begin() + static_cast<std::ptrdiff_t>(count_);
  std::sort(sizes_.begin(), end,
            [](const Size& a, const Size& b) { return a.page_kb > b.page_kb; });
  uint64_t rest = std::min(total_kb, host_sum);
  for (auto size = sizes_.begin(); size != end; ++size) {
    const bool smallest = size + 1 == end;
    const uint64_t whole_pages = std::min(rest, size->host_kb) / size->page_kb * size->page_kb;
    size->kb = smallest ? rest : whole_pages;
    rest -= size->kb;
  }
}

uint64_t DirectMap::page_kb(std::string_view label) {
  constexpr std::string_view kPrefix = "DirectMap";
  if (!starts_with(label, kPrefix)) return 0;
  label.remove_prefix(kPrefix.size());
  uint64_t size = 0;
  while (!label.empty() && is_digit(label[0]) && size < 10'000) {
    size = size * 10 + static_cast<uint64_t>(label[0] - '0');
    label.remove_prefix(1);
  }
  if (label == "k") return size;
  if (label == "M") return size << 10;
  if (label == "G") return size << 20;
  return 0;
}

uint64_t DirectMap::mapped_kb(uint64_t page_kb) const {
  for (size_t i = 0; i < count_; ++i) {
    if (sizes_[i].page_kb == page_kb) return sizes_[i].kb;
  }
  return 0;
}

}  // namespace vprocfs
