#include "source/mount_table.h"

#include <optional>

#include "source/parse.h"

namespace vprocfs {
namespace {

std::optional<MountEntry> parse_entry(std::string_view line) {
  // Optional fields of any number stand before the lone hyphen.
  const size_t hyphen = line.find(" - ");
  if (hyphen == line.npos) return std::nullopt;
  std::string_view before = line.substr(0, hyphen), after = line.substr(hyphen + 3);
  const auto id = parse_u64(take_word(before));
  const auto parent = parse_u64(take_word(before));
  if (!id || !parent) return std::nullopt;
  MountEntry entry;
  entry.id = *id;
  entry.parent = *parent;
  entry.device = take_word(before);
  entry.root = unescape_octal(take_word(before));
  entry.path = unescape_octal(take_word(before));
  take_word(before);
  constexpr std::string_view kShared = "shared:";
  while (!before.empty()) {
    const std::string_view field = take_word(before);
    if (field.substr(0, kShared.size()) != kShared) continue;
    entry.peers = parse_u64(field.substr(kShared.size())).value_or(0);
  }
  entry.type = unescape_octal(take_word(after));
  entry.source = unescape_octal(take_word(after));
  if (entry.path.empty() || entry.type.empty()) return std::nullopt;
  return entry;
}

}  // namespace

MountTable MountTable::parse(std::string_view text) {
  MountTable table;
  for_each_line(text, [&](std::string_view line) {
    if (auto entry = parse_entry(line)) table.entries_.push_back(std::move(*entry));
  });
  return table;
}

const MountEntry* MountTable::by_id(uint64_t id) const {
  for (const auto& entry : entries_) {
    if (entry.id == id) return &entry;
  }
  return nullptr;
}

const MountEntry* MountTable::at(std::string_view path) const {
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (entry->path == path) return &*entry;
  }
  return nullptr;
}

bool MountTable::has_device(std::string_view device) const {
  for (const auto& entry : entries_) {
    if (entry.device == device) return true;
  }
  return false;
}

}  // namespace vprocfs
