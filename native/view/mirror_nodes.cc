#include "base/words.h"
#include "view/cpu_list.h"
#include "view/mirror.h"
#include "view/node_model.h"

namespace vprocfs {
namespace {

void write_nodes(const std::vector<NodeShare>& nodes, bool (*wanted)(const NodeShare&),
                 Writer& writer) {
  std::vector<uint32_t> ids;
  for (const NodeShare& node : nodes) {
    if (wanted(node)) ids.push_back(node.id);
  }
  write_cpu_list(CpuSet(std::move(ids)), writer);
  writer.ch('\n');
}

}  // namespace

/// node/online, node/possible: the nodes that the container is shown (drivers/base/node.c).
void mirror_shown_nodes(const Facts& facts, const HostText&, Writer& writer) {
  write_cpu_list(shown_nodes(facts), writer);
  writer.ch('\n');
}

/// node/has_cpu: those of them that have CPUs which it is shown.
void mirror_cpu_nodes(const Facts& facts, const HostText&, Writer& writer) {
  const NodeModel model(facts, 0, 0, 0);
  write_nodes(
      model.nodes(), [](const NodeShare& node) { return !node.cpus.empty(); }, writer);
}

/// node/has_memory and has_normal_memory: those of them whose memory it may use.
void mirror_memory_nodes(const Facts& facts, const HostText&, Writer& writer) {
  const NodeModel model(facts, 0, 0, 0);
  write_nodes(
      model.nodes(), [](const NodeShare& node) { return node.has_memory; }, writer);
}

/// Those of a list of nodes that the container is shown.
void mirror_node_list(const Facts& facts, const HostText& host, Writer& writer) {
  write_cpu_list(host.list ? host.list->intersect(shown_nodes(facts)) : CpuSet(), writer);
  writer.ch('\n');
}

/// nodeN/distance: one number for each of the host's online nodes, ascending; of them the shown.
void mirror_node_distance(const Facts& facts, const HostText& host, Writer& writer) {
  const CpuSet shown = shown_nodes(facts);
  std::string_view rest = trim(host.text);
  bool first = true;
  for (const HostNode& node : *facts.host_nodes) {
    const std::string_view distance = take_word(rest);
    if (!shown.contains(node.id)) continue;
    if (!first) writer.ch(' ');
    writer.text(distance);
    first = false;
  }
  writer.ch('\n');
}

/// nodeN/numastat: allocations of the whole host by where they came from. No cgroup counts them.
void mirror_node_numastat(const Facts&, const HostText& host, Writer& writer) {
  for_each_line(host.text, [&](std::string_view line) {
    writer.text(line.substr(0, line.find(' '))).text(" 0\n");
  });
}

}  // namespace vprocfs
