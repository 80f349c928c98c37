#include "view/mirror.h"

#include <cstddef>

#include "base/words.h"

namespace vprocfs {

#define VPROCFS_MIRROR(pattern, needs, render) void render(const Facts&, const HostText&, Writer&);
#include "view/mirrors.def"
#undef VPROCFS_MIRROR

namespace {

constexpr MirrorRule kRules[] = {
#define VPROCFS_MIRROR(pattern, needs, render) {pattern, needs, render},
#include "view/mirrors.def"
#undef VPROCFS_MIRROR
};

/// Whether `path` is of the form `pattern`. "*" takes as little as will do, which is enough for
/// patterns with one "*" in a name.
bool matches(std::string_view pattern, std::string_view path) {
  size_t p = 0, at = 0, star = std::string_view::npos, star_at = 0;
  while (at < path.size()) {
    if (p < pattern.size() && pattern[p] == '#' && is_digit(path[at])) {
      while (at < path.size() && is_digit(path[at])) ++at;
      ++p;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_at = at;
    } else if (p < pattern.size() && pattern[p] == path[at]) {
      ++p;
      ++at;
    } else if (star != std::string_view::npos && path[star_at] != '/') {
      p = star + 1;
      at = ++star_at;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

const MirrorRule* find_mirror_rule(std::string_view path) {
  for (const MirrorRule& rule : kRules) {
    if (matches(rule.pattern, path)) return &rule;
  }
  return nullptr;
}

std::optional<uint32_t> number_after(std::string_view name, std::string_view prefix) {
  constexpr size_t kMaxDigits = 9;
  if (!starts_with(name, prefix)) return std::nullopt;
  const std::string_view digits = name.substr(prefix.size());
  if (digits.empty() || digits.size() > kMaxDigits) return std::nullopt;
  uint32_t number = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return std::nullopt;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  return number;
}

HostText host_text(std::string_view path, std::string_view text) {
  HostText out;
  out.text = text;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    out.name = path.substr(0, slash);
    if (const auto node = number_after(out.name, "node")) out.node = *node;
    const size_t unit = out.name.rfind("kB");
    if (const auto size = number_after(out.name.substr(0, unit), "hugepages-")) out.page_kb = *size;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return out;
}

MirrorEntry mirror_entry(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view name = path.substr(slash == std::string_view::npos ? 0 : slash + 1);
  if (const auto cpu = number_after(name, "cpu")) return {MirrorName::kCpu, *cpu};
  if (const auto node = number_after(name, "node")) return {MirrorName::kNode, *node};
  if (const auto policy = number_after(name, "policy")) return {MirrorName::kPolicy, *policy};
  return {};
}

}  // namespace vprocfs
