#include "view/stable.h"

namespace vprocfs {
namespace {

constexpr size_t kStep = 64;

size_t with_room(size_t size) {
  const size_t wanted = size + size / 16 + kStep / 2;
  return (wanted + kStep - 1) / kStep * kStep;
}

}  // namespace

size_t stabilise(std::string& text, size_t length, bool fixed) {
  if (text.empty()) return 0;
  if (text.size() > length || text.size() < length / 2) {
    length = fixed ? text.size() : with_room(text.size());
  }
  const size_t last = text.find_last_not_of('\n');
  text.insert(last == std::string::npos ? 0 : last + 1, length - text.size(), ' ');
  return length;
}

}  // namespace vprocfs
