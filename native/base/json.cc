#include "base/json.h"

#include <cstdint>
#include <cstring>

#include "base/words.h"

namespace vprocfs {
namespace {

constexpr int kMaxDepth = 64;

/// Recursive descent over one document.
class Reader {
 public:
  Reader(std::string_view text, const std::function<void(const JsonLeaf&)>& leaf)
      : text_(text), leaf_(leaf) {}

  bool document() { return value(0) && (skip_blanks(), at_ == text_.size()); }

 private:
  bool value(int depth) {
    if (depth > kMaxDepth) return false;
    skip_blanks();
    switch (peek()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"': {
        JsonLeaf leaf{path_, "", true};
        if (!string(leaf.value)) return false;
        leaf_(leaf);
        return true;
      }
      default:
        return word();
    }
  }

  bool object(int depth) {
    ++at_;
    if (skip_blanks(), take('}')) return true;
    do {
      std::string key;
      if (skip_blanks(), !string(key)) return false;
      if (skip_blanks(), !take(':')) return false;
      const size_t length = path_.size();
      path_ += "/" + key;
      if (!value(depth + 1)) return false;
      path_.resize(length);
      skip_blanks();
    } while (take(','));
    return take('}');
  }

  bool array(int depth) {
    ++at_;
    if (skip_blanks(), take(']')) return true;
    do {
      if (!value(depth + 1)) return false;
      skip_blanks();
    } while (take(','));
    return take(']');
  }

  bool word() {
    const size_t from = at_;
    while (at_ < text_.size() && std::strchr("+-.0123456789Eeaflnrstu", text_[at_]) != nullptr &&
           text_[at_] != '\0') {
      ++at_;
    }
    const std::string_view found = text_.substr(from, at_ - from);
    if (found != "true" && found != "false" && found != "null" && !is_number(found)) return false;
    leaf_(JsonLeaf{path_, std::string(found), false});
    return true;
  }

  static bool is_number(std::string_view s) {
    size_t i = 0;
    const auto digits = [&] {
      const size_t from = i;
      while (i < s.size() && is_digit(s[i])) ++i;
      return i - from;
    };
    if (i < s.size() && s[i] == '-') ++i;
    const size_t first = i;
    const size_t whole = digits();
    if (whole == 0 || (whole > 1 && s[first] == '0')) return false;
    if (i < s.size() && s[i] == '.' && (++i, digits() == 0)) return false;
    if (i < s.size() && (s[i] == 'e' || s[i] == 'E')) {
      if (++i < s.size() && (s[i] == '+' || s[i] == '-')) ++i;
      if (digits() == 0) return false;
    }
    return i == s.size();
  }

  bool string(std::string& out) {
    if (!take('"')) return false;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        out.push_back(c);
      } else if (!escape(out)) {
        return false;
      }
    }
    return false;
  }

  bool escape(std::string& out) {
    static constexpr char kFrom[] = "\"\\/bfnrt";
    static constexpr char kTo[] = "\"\\/\b\f\n\r\t";
    const char c = peek();
    ++at_;
    if (c == 'u') return code_point(out);
    const char* found = c == '\0' ? nullptr : std::strchr(kFrom, c);
    if (found == nullptr) return false;
    out.push_back(kTo[found - kFrom]);
    return true;
  }

  bool hex4(uint32_t& out) {
    if (text_.size() - at_ < 4) return false;
    out = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const int digit = hex_digit(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
      if (digit < 0) return false;
      out = out * 16 + static_cast<uint32_t>(digit);
    }
    return true;
  }

  bool code_point(std::string& out) {
    uint32_t code = 0;
    if (!hex4(code)) return false;
    if (code >= 0xd800 && code < 0xdc00 && text_.substr(at_, 2) == "\\u") {
      uint32_t low = 0;
      at_ += 2;
      if (!hex4(low)) return false;
      code = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : 0;
    }
    if (code == 0 || (code >= 0xd800 && code < 0xe000)) code = '?';
    const auto tail = [&](int shift) {
      out.push_back(static_cast<char>(0x80 | ((code >> shift) & 0x3f)));
    };
    if (code < 0x80) {
      out.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
      out.push_back(static_cast<char>(0xc0 | (code >> 6)));
      tail(0);
    } else if (code < 0x10000) {
      out.push_back(static_cast<char>(0xe0 | (code >> 12)));
      tail(6), tail(0);
    } else {
      out.push_back(static_cast<char>(0xf0 | (code >> 18)));
      tail(12), tail(6), tail(0);
    }
    return true;
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_blanks() {
    while (at_ < text_.size() && std::strchr(" \t\n\r", text_[at_]) != nullptr && text_[at_] != 0) {
      ++at_;
    }
  }

  const std::string_view text_;
  const std::function<void(const JsonLeaf&)>& leaf_;
  std::string path_;
  size_t at_ = 0;
};

}  // namespace

bool read_json(std::string_view text, const std::function<void(const JsonLeaf&)>& leaf) {
  return Reader(text, leaf).document();
}

}  // namespace vprocfs
