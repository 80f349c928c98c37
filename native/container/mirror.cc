#include "container/mirror.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "source/parse.h"
#include "view/mirror.h"
#include "view/node_model.h"
#include "view/writer.h"

namespace vprocfs {
namespace {

constexpr std::string_view kTreePrefix = "sys/";

/// What has to be known to decide on the names in the directory that `path` stands in.
uint32_t needs_of(std::string_view path) {
  // A CPU's link to its node is shown with the CPU, whose node is shown then.
  return starts_with(path, SysfsTree::kNodeRoot) ? kNeedCpus | kNeedNodes : uint32_t{kNeedCpus};
}

/// The CPUs of one of cpufreq's policies: numbers with blanks between them.
CpuSet words_of(std::string_view text) {
  std::vector<uint32_t> ids;
  text = trim(text);
  for (std::string_view word = take_word(text); !word.empty(); word = take_word(text)) {
    const auto id = parse_u64(word);
    if (id && *id <= kMaxCpuId) ids.push_back(static_cast<uint32_t>(*id));
  }
  return CpuSet(std::move(ids));
}

}  // namespace

std::optional<std::string> Mirror::root(std::string_view tree_path) {
  if (!starts_with(tree_path, kTreePrefix)) return std::nullopt;
  const std::string_view path = tree_path.substr(kTreePrefix.size());
  if (path != SysfsTree::kCpuRoot && path != SysfsTree::kNodeRoot) return std::nullopt;
  return std::string(path);
}

std::optional<std::string> Mirror::below_root(std::string_view tree_path) {
  if (!starts_with(tree_path, kTreePrefix)) return std::nullopt;
  const std::string_view path = tree_path.substr(kTreePrefix.size());
  for (const std::string_view root : {SysfsTree::kCpuRoot, SysfsTree::kNodeRoot}) {
    if (path == root) return std::string(path);
    if (!is_below(path, root)) continue;
    std::string_view rest = path.substr(root.size() + 1);
    while (!rest.empty()) {
      const std::string_view name = rest.substr(0, rest.find('/'));
      if (name.empty() || name == "." || name == "..") return std::nullopt;
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    }
    return std::string(path);
  }
  return std::nullopt;
}

Result<std::string> Mirror::resolve(const std::string& path, const Ask& ask) const {
  std::string_view root = SysfsTree::kCpuRoot;
  if (!starts_with(path, root)) root = SysfsTree::kNodeRoot;
  std::string above(root);
  for (size_t end = root.size(); end < path.size();) {
    const size_t slash = std::min(path.find('/', end + 1), path.size());
    const std::string name = path.substr(end + 1, slash - end - 1);
    end = slash;
    if (SysfsTree::hidden(above, name)) return Error{ENOENT, path};
    auto found = place(above + "/" + name, ask);
    if (!found) return found.error();
    if (!found.value()) return Error{ENOENT, path};
    above = std::move(*found.value());
  }
  return above;
}

Mirror::Growth Mirror::growth(std::string_view path) {
  if (find_mirror_rule(path) == nullptr) return Growth::kNone;
  if (ends_with(path, "/meminfo")) return Growth::kBeyondColumns;
  return ends_with(path, "/vmstat") ? Growth::kAny : Growth::kNone;
}

bool Mirror::depends(const std::string& path) {
  return mirror_entry(path).what != MirrorName::kPlain;
}

bool Mirror::shows_entry(const std::string& path, const Facts& facts) const {
  const MirrorEntry entry = mirror_entry(path);
  switch (entry.what) {
    case MirrorName::kPlain:
      return true;
    case MirrorName::kCpu:
      return facts.shown_cpus.contains(entry.number);
    case MirrorName::kNode:
      return (needs_of(path) & kNeedNodes) == 0 || shown_nodes(facts).contains(entry.number);
    case MirrorName::kPolicy: {
      const auto cpus = tree_.read(path + "/related_cpus");
      return !cpus || !words_of(cpus.value()).intersect(facts.shown_cpus).empty();
    }
  }
  return true;
}

std::optional<std::string> Mirror::place_entry(const std::string& path, const Facts& facts) const {
  const MirrorEntry entry = mirror_entry(path);
  if (entry.what == MirrorName::kCpu && facts.bare_cpus.contains(entry.number) &&
      path.compare(0, path.rfind('/'), SysfsTree::kCpuRoot) == 0) {
    return SysfsTree::bare_cpu(entry.number);
  }
  return shows_entry(path, facts) ? std::optional(path) : std::nullopt;
}

Result<std::optional<std::string>> Mirror::place(const std::string& path, const Ask& ask) const {
  if (!ask || !depends(path)) return std::optional(path);
  const auto facts = ask(needs_of(path));
  if (!facts) return facts.error();
  return place_entry(path, facts.value());
}

Result<std::vector<SysfsEntry>> Mirror::list(const std::string& path, const Ask& ask) {
  auto found = tree_.list(path);
  if (!found || !ask) return found;
  auto& entries = found.value();
  const auto dependent = [&](const SysfsEntry& e) { return depends(path + "/" + e.name); };
  if (std::none_of(entries.begin(), entries.end(), dependent)) return found;
  const auto facts = ask(needs_of(path + "/"));
  if (!facts) return facts.error();
  std::vector<SysfsEntry> shown;
  for (SysfsEntry& entry : entries) {
    const std::string own = path + "/" + entry.name;
    const auto place = place_entry(own, facts.value());
    const auto number = place && *place != own ? tree_.number(*place) : std::optional(entry.number);
    if (!place || !number) continue;
    shown.push_back({std::move(entry.name), entry.type, *number});
  }
  std::sort(shown.begin(), shown.end(),
            [](const SysfsEntry& a, const SysfsEntry& b) { return a.number < b.number; });
  return shown;
}

Result<std::string> Mirror::text(const std::string& path, const Ask& ask) const {
  auto host = tree_.read(path);
  if (!host || !ask) return host;
  const MirrorRule* rule = find_mirror_rule(path);
  if (rule == nullptr) return host;
  const auto facts = ask(rule->needs);
  if (!facts) return facts.error();
  HostText from = host_text(path, host.value());
  from.list = parse_cpu_list(from.text);
  if (!from.list && trim(from.text).empty()) from.list = CpuSet();
  std::string out;
  out.reserve(host.value().size());
  Writer writer(out);
  rule->render(facts.value(), from, writer);
  return out;
}

bool may_access(const struct stat& file, uint32_t uid, uint32_t gid, int mask,
                const std::function<bool()>& in_group) {
  const auto granted = [&](unsigned shift) {
    return (mask & ~static_cast<int>(file.st_mode >> shift & 07)) == 0;
  };
  if (uid == 0) return (mask & X_OK) == 0 || (file.st_mode & 0111) != 0 || S_ISDIR(file.st_mode);
  if (uid == file.st_uid) return granted(6);
  if (granted(3) == granted(0)) return granted(0);
  return gid == file.st_gid || in_group() ? granted(3) : granted(0);
}

}  // namespace vprocfs
