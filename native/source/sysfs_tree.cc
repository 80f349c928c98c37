#include "source/sysfs_tree.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "base/affix.h"
#include "base/clock.h"
#include "base/directory.h"
#include "base/fnv.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxPaths = size_t{1} << 20;
constexpr size_t kMaxAttributeBytes = size_t{1} << 20;
constexpr unsigned kMaxScanDepth = 16;
/// A number that nobody knows makes us look again, but not more often than this; for the same one
/// less and less often.
constexpr uint64_t kScanEveryMs = 1000, kLongestRestMs = 3'600'000;
constexpr size_t kMaxAbsent = 4096;

/// The `attempt`th number of a path. Part of node ids that kernels hold: never to change.
uint32_t candidate(std::string_view path, uint32_t attempt) {
  uint64_t hash = fnv(kFnvSeed + attempt, path);
  hash ^= hash >> 29;
  return static_cast<uint32_t>(hash & ((uint64_t{1} << SysfsTree::kNumberBits) - 1));
}

uint32_t type_of(const dirent& entry) { return DTTOIF(entry.d_type); }

/// Whether `name` is `prefix` and a number.
bool is_numbered(std::string_view name, std::string_view prefix) {
  return starts_with(name, prefix) && name.size() > prefix.size() &&
         name.find_first_not_of("0123456789", prefix.size()) == std::string_view::npos;
}

/// The directory of CPUs once more: "." is a name that no path from outside has.
constexpr std::string_view kBareRoot = "devices/system/cpu/./";
constexpr std::array<std::string_view, 5> kBareNames = {"online", "uevent", "subsystem", "driver",
                                                        "firmware_node"};

/// Whether it says of a bare CPU that it is offline. The kernel gives no such file to CPUs that
/// cannot go offline, mostly CPU 0, so that programs take those without one for online (htop).
bool is_bare_online(std::string_view path) {
  return starts_with(path, kBareRoot) && ends_with(path, "/online");
}

}  // namespace

uint64_t SysfsTree::clock_ms() { return clock_us(CLOCK_MONOTONIC_COARSE) / 1000; }

std::string SysfsTree::bare_cpu(uint32_t cpu) {
  return std::string(kBareRoot) + "cpu" + std::to_string(cpu);
}

bool SysfsTree::hidden(const std::string& directory, const std::string& name) {
  if (starts_with(directory, kBareRoot)) {
    return std::find(kBareNames.begin(), kBareNames.end(), name) == kBareNames.end();
  }
  return starts_with(directory, kNodeRoot) && is_numbered(name, "memory");
}

Result<std::vector<SysfsTree::Name>> SysfsTree::names(const std::string& path) const {
  std::vector<Name> out;
  const int code =
      for_each_entry(open_directory(fd_, path.c_str(), O_NOFOLLOW), [&](const dirent& entry) {
        const std::string name = entry.d_name;
        if (!hidden(path, name)) out.push_back({name, type_of(entry)});
        return true;
      });
  if (code != 0) return Error{code, path};
  const auto is_online = [](const Name& entry) { return entry.name == "online"; };
  if (starts_with(path, kBareRoot) && std::none_of(out.begin(), out.end(), is_online)) {
    out.push_back({"online", S_IFREG});
  }
  std::sort(out.begin(), out.end(), [](const Name& a, const Name& b) { return a.name < b.name; });
  return out;
}

bool SysfsTree::scan_below(const std::string& path, unsigned depth, const Visit& visit) const {
  const auto found = names(path);
  if (!found || depth > kMaxScanDepth) return true;  // it went away meanwhile
  for (const Name& entry : found.value()) {
    const std::string below = path + "/" + entry.name;
    if (!visit(below)) return false;
    if (entry.type == S_IFDIR && !scan_below(below, depth + 1, visit)) return false;
  }
  return true;
}

bool SysfsTree::scan(const Visit& visit) const {
  if (!scan_below(kCpuRoot, 0, visit) || !scan_below(kNodeRoot, 0, visit)) return false;
  // Last: what stands above has had its numbers before there were these.
  const auto cpus = names(kCpuRoot);
  if (!cpus) return true;
  for (const Name& entry : cpus.value()) {
    if (!is_numbered(entry.name, "cpu")) continue;
    const std::string bare = std::string(kBareRoot) + entry.name;
    if (!visit(bare) || !scan_below(bare, 0, visit)) return false;
  }
  return true;
}

void SysfsTree::begin_locked() {
  if (scanned_) return;
  scan([this](const std::string& path) { return number_locked(path).has_value(); });
  scanned_ = true;
  scanned_ms_ = now_ms_();
}

std::optional<uint32_t> SysfsTree::number_locked(const std::string& path) {
  for (uint32_t attempt = 0;; ++attempt) {
    const uint32_t number = candidate(path, attempt);
    const auto it = paths_.find(number);
    if (it != paths_.end() && it->second == path) return number;
    if (it != paths_.end()) continue;
    if (paths_.size() >= kMaxPaths) return std::nullopt;
    paths_.emplace(number, path);
    return number;
  }
}

std::optional<uint32_t> SysfsTree::number(const std::string& path) {
  const std::lock_guard lock(mutex_);
  begin_locked();
  return number_locked(path);
}

std::optional<std::string> SysfsTree::path_locked(uint32_t number) const {
  const auto it = paths_.find(number);
  return it == paths_.end() ? std::nullopt : std::optional(it->second);
}

bool SysfsTree::rests_locked(uint32_t number) const {
  const auto it = absent_.find(number);
  return it != absent_.end() && now_ms_() < it->second.until_ms;
}

std::optional<std::string> SysfsTree::path(uint32_t number) {
  {
    const std::lock_guard lock(mutex_);
    begin_locked();
    auto known = path_locked(number);
    if (known || rests_locked(number)) return known;
  }
  // Whoever asks for what another one's scan is about to find waits for that.
  const std::lock_guard alone(scan_mutex_);
  {
    const std::lock_guard lock(mutex_);
    auto known = path_locked(number);
    if (known || now_ms_() < scanned_ms_ + kScanEveryMs) return known;
  }
  // Not with the lock, which every look-up takes: this is the whole tree.
  scan([this](const std::string& path) { return this->number(path).has_value(); });
  const std::lock_guard lock(mutex_);
  scanned_ms_ = now_ms_();
  auto known = path_locked(number);
  if (known) {
    absent_.erase(number);
  } else {
    rest_locked(number);
  }
  return known;
}

void SysfsTree::rest_locked(uint32_t number) {
  if (absent_.size() >= kMaxAbsent) absent_.clear();
  Rest& rest = absent_[number];
  rest.length_ms = std::min(kLongestRestMs, std::max(kScanEveryMs, 2 * rest.length_ms));
  rest.until_ms = scanned_ms_ + rest.length_ms;
}

Result<struct stat> SysfsTree::stat(const std::string& path) const {
  struct stat found {};
  if (::fstatat(fd_, path.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0) return found;
  const Error error{errno, path};
  if (error.code != ENOENT || !is_bare_online(path)) return error;
  // Every device has that one, with the same mode.
  return stat(path.substr(0, path.rfind('/')) + "/uevent");
}

Result<std::vector<SysfsEntry>> SysfsTree::list(const std::string& path) {
  const auto found = names(path);
  if (!found) return found.error();
  std::vector<SysfsEntry> out;
  out.reserve(found.value().size());
  const std::lock_guard lock(mutex_);
  begin_locked();
  for (const Name& entry : found.value()) {
    const auto number = number_locked(path + "/" + entry.name);
    if (number) out.push_back({entry.name, entry.type, *number});
  }
  std::sort(out.begin(), out.end(),
            [](const SysfsEntry& a, const SysfsEntry& b) { return a.number < b.number; });
  return out;
}

Result<std::string> SysfsTree::link(const std::string& path) const { return read_link(fd_, path); }

Result<std::string> SysfsTree::read(const std::string& path) const {
  const auto fd = open_file(fd_, path);
  if (!fd && is_bare_online(path) && stat(path)) return std::string();
  if (!fd) return fd.error();
  std::string out(4096, '\0');
  size_t have = 0;
  for (;;) {
    const ssize_t n = read_piece(fd.value().get(), out.data() + have, out.size() - have, have);
    if (n < 0) return Error{errno, path};
    have += static_cast<size_t>(n);
    // An attribute is at most a page; what is shorter comes at once (fs/kernfs/file.c). Only binary
    // ones are longer.
    if (n == 0 || have < 4096) break;
    if (have == out.size()) {
      if (out.size() >= kMaxAttributeBytes) return Error{EFBIG, path};
      out.resize(out.size() * 2);
    }
  }
  out.resize(have);
  return out;
}

}  // namespace vprocfs
