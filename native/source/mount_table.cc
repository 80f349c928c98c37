#include "source/mount_table.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/affix.h"
#include "source/parse.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

/// Whether a path has a component of this name ("/proc").
bool has_component(std::string_view path, std::string_view name) {
  for (size_t at = path.find(name); at != path.npos; at = path.find(name, at + 1)) {
    const size_t end = at + name.size();
    if (end == path.size() || path[end] == '/') return true;
  }
  return false;
}

/// The word of a line that has `before` words before it.
std::string_view word_at(std::string_view line, size_t before) {
  for (; before > 0; --before) take_word(line);
  return take_word(line);
}

constexpr size_t kDeviceAt = 2, kPathAt = 4;

bool is_at(std::string_view line, std::string_view path) {
  const std::string_view found = word_at(line, kPathAt);
  return found == path || (found.find('\\') != found.npos && unescape_octal(found) == path);
}

}  // namespace

std::optional<MountEntry> parse_mount(std::string_view line) {
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
  const std::string_view flags = take_word(before);
  entry.read_only = flags == "ro" || starts_with(flags, "ro,");
  constexpr std::string_view kShared = "shared:";
  while (!before.empty()) {
    const std::string_view field = take_word(before);
    if (!starts_with(field, kShared)) continue;
    entry.peers = parse_u64(field.substr(kShared.size())).value_or(0);
  }
  entry.type = unescape_octal(take_word(after));
  entry.source = unescape_octal(take_word(after));
  entry.options = take_word(after);
  if (entry.path.empty() || entry.type.empty()) return std::nullopt;
  return entry;
}

bool is_of_kernel_tree(std::string_view line) {
  const std::string_view path = word_at(line, kPathAt);
  return path == "/" || has_component(path, "/proc") || has_component(path, "/sys") ||
         ends_with(path, "/dev") || ends_with(path, "/dev/kmsg");
}

MountTable MountTable::parse(std::string_view text) {
  MountTable table;
  for_each_line(text, [&](std::string_view line) {
    if (auto entry = parse_mount(line)) table.entries_.push_back(std::move(*entry));
  });
  return table;
}

Result<MountTable> MountTable::read(int dir_fd, const std::string& file, const Filter& filter) {
  const auto fd = open_file(dir_fd, file);
  if (!fd) return fd.error();
  MountTable table;
  bool too_many = false;
  size_t bytes = 0;
  std::string buffer;
  const int code = for_each_line_of(fd.value().get(), buffer, [&](std::string_view line) {
    const bool keep = is_of_kernel_tree(line) ||
                      std::any_of(filter.paths.begin(), filter.paths.end(),
                                  [&](const std::string& path) { return is_at(line, path); }) ||
                      (filter.id != 0 && parse_u64(word_at(line, 0)) == filter.id);
    if (keep && table.entries_.size() < kMaxEntries && (bytes += line.size()) < kMaxBytes) {
      if (auto entry = parse_mount(line)) table.entries_.push_back(std::move(*entry));
      return;
    }
    too_many = too_many || keep;
    if (filter.devices) table.devices_.emplace(word_at(line, kDeviceAt));
  });
  if (code != 0) return Error{code, file};
  if (too_many) return Error{E2BIG, file};
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
  return devices_.find(device) != devices_.end();
}

}  // namespace vprocfs
