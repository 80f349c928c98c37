#include "view/writer.h"

#include <array>
#include <charconv>

namespace vprocfs {
namespace {

/// The decimal digits of one number, without allocation.
class Digits {
 public:
  explicit Digits(uint64_t value) {
    end_ = std::to_chars(buffer_.data(), buffer_.data() + buffer_.size(), value).ptr;
  }
  std::string_view view() const {
    return {buffer_.data(), static_cast<size_t>(end_ - buffer_.data())};
  }

 private:
  std::array<char, 20> buffer_{};  // UINT64_MAX has 20 digits
  char* end_;
};

}  // namespace

Writer& Writer::text(std::string_view s) {
  out_.append(s);
  return *this;
}

Writer& Writer::ch(char c) {
  out_.push_back(c);
  return *this;
}

Writer& Writer::number(uint64_t value) { return text(Digits(value).view()); }

Writer& Writer::zeros(size_t count) {
  const size_t from = out_.size();
  out_.append(2 * count, ' ');
  for (size_t at = from + 1; at < out_.size(); at += 2) out_[at] = '0';
  return *this;
}

Writer& Writer::right(uint64_t value, size_t width) {
  const Digits digits(value);
  const size_t size = digits.view().size();
  if (size < width) out_.append(width - size, ' ');
  return text(digits.view());
}

Writer& Writer::left(std::string_view s, size_t width) {
  text(s);
  if (s.size() < width) out_.append(width - s.size(), ' ');
  return *this;
}

Writer& Writer::fixed(uint64_t value, unsigned decimals) {
  const Digits digits(value);
  std::string_view all = digits.view();
  if (decimals == 0) return text(all);
  if (all.size() <= decimals) {
    text("0.");
    out_.append(decimals - all.size(), '0');
    return text(all);
  }
  text(all.substr(0, all.size() - decimals)).ch('.');
  return text(all.substr(all.size() - decimals));
}

}  // namespace vprocfs
