#include <map>
#include <set>
#include <string>

#include "base/words.h"
#include "view/view.h"

namespace vprocfs {
namespace {

/// One "key   : value" line of a CPU's block. Architectures differ in the blanks around the colon.
struct Field {
  std::string_view key;    ///< without the blanks
  std::string_view value;  ///< after the colon and its blank, without the newline
};

Field field_of(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  const size_t key_end = line.substr(0, colon).find_last_not_of(" \t");
  Field field;
  if (key_end != std::string_view::npos) field.key = line.substr(0, key_end + 1);
  field.value = line.substr(colon + 1);
  while (!field.value.empty() && field.value.front() == ' ') field.value.remove_prefix(1);
  while (!field.value.empty() && field.value.back() == '\n') field.value.remove_suffix(1);
  return field;
}

std::string_view value_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const Field field = field_of(take_line(text));
    if (field.key == key) return field.value;
  }
  return {};
}

/// The CPUs of one package, on the host and as shown.
struct Package {
  size_t host_cpus = 0;
  size_t cpus = 0;                   ///< shown: what `siblings` says (arch/x86/kernel/cpu/proc.c)
  std::set<std::string_view> cores;  ///< shown: as many as `cpu cores` says
};
using Packages = std::map<std::string, Package>;

/// Names the package of a block; empty where the architecture has none. s390x counts packages
/// within books and drawers.
std::string package_of(std::string_view text) {
  std::string id(value_of(text, "physical id"));
  if (id.empty()) return id;
  for (const std::string_view level : {"book id", "drawer id"}) {
    id.append("/").append(value_of(text, level));
  }
  return id;
}

Packages count_packages(const HostCpuinfo& host, const CpuSet& shown) {
  Packages packages;
  for (const auto& block : host.blocks) {
    const std::string id = package_of(block.text);
    if (id.empty()) continue;
    Package& package = packages[id];
    ++package.host_cpus;
    if (!shown.contains(block.cpu)) continue;
    ++package.cpus;
    package.cores.insert(value_of(block.text, "core id"));
  }
  return packages;
}

void append_with_value(std::string_view line, const Field& old, size_t value, std::string& out) {
  const auto prefix = static_cast<size_t>(old.value.data() - line.data());
  out.append(line.substr(0, prefix)).append(std::to_string(value));
  out.append(line.substr(prefix + old.value.size()));
}

/// A block as it is, but for the numbers that count the CPUs of its package.
void append_block(std::string_view text, const Packages& packages, std::string& out) {
  const auto found = packages.find(package_of(text));
  if (found == packages.end() || found->second.cpus == found->second.host_cpus) {
    out.append(text);
    return;
  }
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const Field field = field_of(line);
    if (field.key == "siblings") {
      append_with_value(line, field, found->second.cpus, out);
    } else if (field.key == "cpu cores") {
      append_with_value(line, field, found->second.cores.size(), out);
    } else {
      out.append(line);
    }
  }
}

/// The header, in which s390x counts the CPUs (arch/s390/kernel/processor.c).
void append_header(const HostCpuinfo& host, const CpuSet& shown, std::string& out) {
  std::set<uint32_t> cpus;
  for (const auto& block : host.blocks) {
    if (shown.contains(block.cpu)) cpus.insert(block.cpu);
  }
  std::string_view text = host.header;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const Field field = field_of(line);
    if (field.key == "# processors") {
      append_with_value(line, field, cpus.size(), out);
    } else {
      out.append(line);
    }
  }
}

}  // namespace

/// /proc/cpuinfo (arch/*/.../proc.c and their like): the host's text of the shown CPUs.
void render_cpuinfo(const Facts& facts, Writer& writer) {
  if (!facts.host_cpuinfo) return;
  const HostCpuinfo& host = *facts.host_cpuinfo;
  const Packages packages = count_packages(host, facts.shown_cpus);
  std::string out;
  append_header(host, facts.shown_cpus, out);
  for (const auto& block : host.blocks) {
    if (facts.shown_cpus.contains(block.cpu)) append_block(block.text, packages, out);
  }
  writer.text(out).text(host.trailer);
}

}  // namespace vprocfs
