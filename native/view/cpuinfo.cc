#include <set>
#include <string_view>
#include <vector>

#include "view/view.h"

namespace vprocfs {
namespace {

using Block = HostCpuinfo::Block;

/// What is shown of a package (arch/x86/kernel/cpu/proc.c).
struct Package {
  size_t cpus = 0;                   ///< `siblings`
  std::set<std::string_view> cores;  ///< `cpu cores`: how many
};

std::vector<Package> shown_packages(const HostCpuinfo& host, const CpuSet& shown) {
  std::vector<Package> packages(host.package_cpus.size());
  for (const auto& block : host.blocks) {
    if (block.package == Block::kNoPackage || !shown.contains(block.cpu)) continue;
    Package& package = packages[block.package];
    ++package.cpus;
    package.cores.insert(block.core);
  }
  return packages;
}

/// A text that is shown with other numbers than the host's.
class Changed {
 public:
  Changed(std::string_view text, Writer& writer) : text_(text), writer_(writer) {}

  /// In the order of the text; nothing where the text has no such number.
  void number(HostCpuinfo::Place place, size_t value) {
    if (!place) return;
    writer_.text(text_.substr(done_, place.at - done_)).number(value);
    done_ = place.at + place.size;
  }
  void finish() { writer_.text(text_.substr(done_)); }

 private:
  const std::string_view text_;
  Writer& writer_;
  size_t done_ = 0;  ///< bytes of the text
};

void append_block(const Block& block, const Package& package, Writer& writer) {
  Changed text(block.text, writer);
  const bool siblings_first = block.siblings.at < block.cores.at;
  if (siblings_first) text.number(block.siblings, package.cpus);
  text.number(block.cores, package.cores.size());
  if (!siblings_first) text.number(block.siblings, package.cpus);
  text.finish();
}

/// The header, in which s390x counts the CPUs (arch/s390/kernel/processor.c).
void append_header(const HostCpuinfo& host, const CpuSet& shown, Writer& writer) {
  Changed text(host.header, writer);
  if (host.processors) {
    std::set<uint32_t> cpus;
    for (const auto& block : host.blocks) {
      if (shown.contains(block.cpu)) cpus.insert(block.cpu);
    }
    text.number(host.processors, cpus.size());
  }
  text.finish();
}

}  // namespace

/// /proc/cpuinfo (arch/*/.../proc.c and their like): the host's text of the shown CPUs, but for
/// the numbers that count them.
void render_cpuinfo(const Facts& facts, Writer& writer) {
  if (!facts.host_cpuinfo) return;
  const HostCpuinfo& host = *facts.host_cpuinfo;
  const std::vector<Package> packages = shown_packages(host, facts.shown_cpus);
  append_header(host, facts.shown_cpus, writer);
  for (const auto& block : host.blocks) {
    if (!facts.shown_cpus.contains(block.cpu)) continue;
    const bool is_whole = block.package == Block::kNoPackage ||
                          packages[block.package].cpus == host.package_cpus[block.package];
    if (is_whole) {
      writer.text(block.text);
    } else {
      append_block(block, packages[block.package], writer);
    }
  }
  writer.text(host.trailer);
}

}  // namespace vprocfs
