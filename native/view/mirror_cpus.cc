#include "base/words.h"
#include "view/cpu_list.h"
#include "view/mirror.h"

namespace vprocfs {

/// The CPUs that the container is shown.
void mirror_shown_cpus(const Facts& facts, const HostText&, Writer& writer) {
  write_cpu_list(facts.shown_cpus, writer);
  writer.ch('\n');
}

/// The CPU is offline, as far as the container is concerned.
void mirror_bare_online(const Facts&, const HostText&, Writer& writer) { writer.text("0\n"); }

/// Those of a list of CPUs ("%*pbl") that the container is shown. What is no list ("(null)")
/// stands.
void mirror_cpu_list(const Facts& facts, const HostText& host, Writer& writer) {
  if (!host.list) {
    writer.text(host.text);
    return;
  }
  write_cpu_list(host.list->intersect(facts.shown_cpus), writer);
  writer.ch('\n');
}

/// Those of a bit map of CPUs that the container is shown.
void mirror_cpu_map(const Facts& facts, const HostText& host, Writer& writer) {
  writer.text(intersect_cpu_map(host.text, facts.shown_cpus).text);
}

/// Those of CPUs with blanks between them (drivers/cpufreq/cpufreq.c) that the container is shown.
void mirror_cpu_words(const Facts& facts, const HostText& host, Writer& writer) {
  std::string_view rest = trim(host.text);
  bool first = true;
  for (auto word = take_word(rest); !word.empty(); word = take_word(rest)) {
    const auto cpu = number_after(word, "");
    if (!cpu || !facts.shown_cpus.contains(*cpu)) continue;
    if (!first) writer.ch(' ');
    writer.number(*cpu);
    first = false;
  }
  writer.ch('\n');
}

}  // namespace vprocfs
