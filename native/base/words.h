#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/affix.h"

namespace vprocfs {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The value of a hexadecimal digit as the kernel prints it, in lower case; -1 for anything else.
constexpr int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// The byte that an escape ("\x2d") at the start of `text` stands for; nothing where there is none.
constexpr std::optional<char> hex_escape(std::string_view text) {
  if (text.size() < 4 || !starts_with(text, "\\x")) return std::nullopt;
  const int high = hex_digit(text[2]), low = hex_digit(text[3]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_white(char c) { return is_blank(c) || c == '\n' || c == '\r'; }

// These two run for every line of every file that is parsed. find_first_of() and its like call
// memchr(3) for each character.

/// `text` without blanks, tabs and newlines around it.
constexpr std::string_view trim(std::string_view text) {
  size_t from = 0, end = text.size();
  while (from < end && is_white(text[from])) ++from;
  while (end > from && is_white(text[end - 1])) --end;
  return text.substr(from, end - from);
}

/// Cuts the first word (up to a blank or tab) off `text`; empty when there is none.
constexpr std::string_view take_word(std::string_view& text) {
  size_t from = 0;
  while (from < text.size() && is_blank(text[from])) ++from;
  size_t end = from;
  while (end < text.size() && !is_blank(text[end])) ++end;
  const std::string_view word = text.substr(from, end - from);
  text.remove_prefix(end);
  return word;
}

/// Cuts the first line off `text`, its newline included.
inline std::string_view take_line(std::string_view& text) {
  const size_t newline = text.find('\n');
  const std::string_view line =
      text.substr(0, newline == std::string_view::npos ? newline : newline + 1);
  text.remove_prefix(line.size());
  return line;
}

/// Calls `line(std::string_view)` for every line, without its newline.
template <typename F>
void for_each_line(std::string_view text, F line) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    line(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

/// Whether a path is `root` or below it.
constexpr bool is_below(std::string_view path, std::string_view root) {
  if (root == "/") return starts_with(path, "/");
  return starts_with(path, root) && (path.size() == root.size() || path[root.size()] == '/');
}

}  // namespace vprocfs
