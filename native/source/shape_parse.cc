#include "source/shape_parse.h"

#include <algorithm>
#include <limits>

#include "base/affix.h"
#include "source/io_parse.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

std::optional<DeviceNumber> take_device(std::string_view& line) {
  const std::string_view major = take_word(line);
  return device_of(major, take_word(line));
}

/// Splits "  text:   12" in what comes before the number, the number, and the word before it.
HostZoneinfo::Line zone_line(HostZoneinfo::Part part, std::string_view text) {
  HostZoneinfo::Line line;
  line.part = part;
  const size_t blank = text.find_last_of(' ');
  const auto value =
      blank == std::string_view::npos ? std::nullopt : parse_u64(text.substr(blank + 1));
  if (!value) {
    line.prefix = text;
    return line;
  }
  line.prefix = text.substr(0, blank + 1);
  line.values.push_back(*value);
  std::string_view key = trim(line.prefix);
  if (!key.empty() && key.back() == ':') key.remove_suffix(1);
  const size_t word = key.find_last_of(' ');
  line.key = word == std::string_view::npos ? key : key.substr(word + 1);
  return line;
}

/// "        protection: (0, 3019, 5195)".
std::optional<HostZoneinfo::Line> protection_line(std::string_view text) {
  const size_t open = text.find('(');
  if (open == std::string_view::npos || !starts_with(trim(text), "protection:")) {
    return std::nullopt;
  }
  HostZoneinfo::Line line;
  line.prefix = text.substr(0, open);
  line.key = "protection";
  std::string_view rest = text.substr(open + 1);
  while (!rest.empty()) {
    const size_t end = rest.find_first_of(",)");
    if (const auto value = parse_u64(rest.substr(0, end))) line.values.push_back(*value);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return line;
}

/// Follows where in a zone's text a line stands.
class ZoneReader {
 public:
  void take(std::string_view text) {
    if (starts_with(text, "Node ")) return begin(text);
    if (zoneinfo_.zones.empty()) return;
    using Part = HostZoneinfo::Part;
    if (starts_with(text, "  per-node stats")) part_ = Part::kNode;
    if (starts_with(text, "  pages ")) part_ = Part::kZone;
    if (starts_with(text, "  pagesets")) {
      lines().push_back(zone_line(Part::kZone, text));
      part_ = Part::kCpu;
      cpus_ = 0;
      return;
    }
    if (part_ == Part::kCpu) {
      if (starts_with(text, "    cpu: ")) ++cpus_;
      // One CPU's lines stand for all; what is not indented comes after the last one.
      if (!starts_with(text, "    ") && !starts_with(text, "  vm stats")) part_ = Part::kAfter;
      if (part_ == Part::kCpu && cpus_ != 1) return;
    }
    if (auto protection = protection_line(text)) {
      lines().push_back(std::move(*protection));
      return;
    }
    lines().push_back(zone_line(part_, text));
  }

  HostZoneinfo&& done() { return std::move(zoneinfo_); }

 private:
  void begin(std::string_view text) {
    HostZoneinfo::Zone zone;
    zone.title = text;
    std::string_view rest = text.substr(5);
    zone.node = static_cast<uint32_t>(
        std::min<uint64_t>(parse_u64(rest.substr(0, rest.find(','))).value_or(0), UINT32_MAX));
    zoneinfo_.zones.push_back(std::move(zone));
    part_ = HostZoneinfo::Part::kZone;
    cpus_ = 0;
  }
  std::vector<HostZoneinfo::Line>& lines() { return zoneinfo_.zones.back().lines; }

  HostZoneinfo zoneinfo_;
  HostZoneinfo::Part part_ = HostZoneinfo::Part::kZone;
  size_t cpus_ = 0;
};

/// The field of a number is 11 wide ("%10u" and a blank before or after it), but for the first one
/// where labels leave no blank. Numbers that fill their field show no padding to measure it by.
size_t first_width(size_t blanks, size_t digits) {
  constexpr size_t kDigits = 10;
  return digits < kDigits ? blanks + digits : blanks + kDigits;
}

HostCpuTable::Row table_row(std::string_view line, size_t colon, size_t cpus) {
  HostCpuTable::Row row;
  row.label = line.substr(0, colon + 1);
  std::string_view rest = line.substr(colon + 1);
  size_t numbers = 0;
  while (numbers < cpus) {
    const size_t begin = rest.find_first_not_of(' ');
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(rest.find(' ', begin), rest.size());
    if (!parse_u64(rest.substr(begin, end - begin))) break;
    if (numbers == 0) row.first = first_width(begin, end - begin);
    rest.remove_prefix(end);
    ++numbers;
  }
  row.per_cpu = numbers == cpus;
  row.columns = numbers;
  row.tail = rest;
  return row;
}

/// Ticks per second: the timestamp began 300 s before its low 32 bits wrap
/// (include/linux/jiffies.h) when the host booted, so only one rate of those that can be configured
/// fits how long it has been awake: ticks stand still while it sleeps.
uint32_t find_hz(uint64_t timestamp, uint64_t awake_us) {
  constexpr uint32_t kRates[] = {100, 250, 300, 1000};
  uint32_t best = 250;
  uint64_t least = UINT64_MAX;
  for (const uint32_t hz : kRates) {
    const uint64_t initial = (uint64_t{1} << 32) - uint64_t{300} * hz;
    if (timestamp < initial) continue;
    const uint64_t ticks = timestamp - initial;
    if (ticks / hz > std::numeric_limits<uint64_t>::max() / 2'000'000) continue;
    const uint64_t us = ticks / hz * 1'000'000;
    const uint64_t off = us > awake_us ? us - awake_us : awake_us - us;
    if (off < least) {
      least = off;
      best = hz;
    }
  }
  return best;
}

bool is_mask(std::string_view word) {
  return !word.empty() && word.find_first_not_of("0123456789abcdef,") == std::string_view::npos;
}

/// Nothing without a heading.
std::optional<HostCpuTable> cpu_table(std::string_view text) {
  std::optional<HostCpuTable> table;
  size_t cpus = 0;
  for_each_line(text, [&](std::string_view line) {
    if (!table) {
      const size_t first = line.find("CPU");
      if (first == std::string_view::npos) return;
      cpus = count_words(line);
      table.emplace();
      table->blanks = first;
      return;
    }
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos) table->rows.push_back(table_row(line, colon, cpus));
  });
  return table;
}

}  // namespace

// Lines that are none are left out.
std::optional<std::vector<HostDisk>> parse_diskstats(std::string_view text, uint64_t) {
  std::vector<HostDisk> disks;
  for_each_line(text, [&](std::string_view line) {
    const auto device = take_device(line);
    const std::string_view name = take_word(line);
    if (!device || name.empty()) return;
    // A path of an NVMe disk that has several: nobody can open it (GENHD_FL_HIDDEN).
    if (*device == DeviceNumber{}) return;
    disks.push_back({*device, std::string(name), count_words(line)});
  });
  return disks;
}

std::optional<std::vector<HostPartition>> parse_partitions(std::string_view text, uint64_t) {
  std::vector<HostPartition> partitions;
  for_each_line(text, [&](std::string_view line) {
    const auto device = take_device(line);
    const auto blocks = parse_u64(take_word(line));
    const std::string_view name = take_word(line);
    if (!device || !blocks || name.empty()) return;
    partitions.push_back({*device, *blocks, std::string(name)});
  });
  return partitions;
}

std::optional<HostVmstat> parse_vmstat(std::string_view text, uint64_t) {
  HostVmstat vmstat;
  for_each_line(text, [&](std::string_view line) {
    const std::string_view key = take_word(line);
    const auto value = parse_u64(line);
    if (!key.empty() && value) vmstat.lines.push_back({std::string(key), *value});
  });
  if (vmstat.lines.empty()) return std::nullopt;
  return vmstat;
}

std::optional<HostZoneinfo> parse_zoneinfo(std::string_view text, uint64_t) {
  ZoneReader reader;
  for_each_line(text, [&](std::string_view line) { reader.take(line); });
  HostZoneinfo zoneinfo = reader.done();
  if (zoneinfo.zones.empty()) return std::nullopt;
  return zoneinfo;
}

std::optional<HostBuddyinfo> parse_buddyinfo(std::string_view text, uint64_t) {
  constexpr size_t kMaxOrders = 64;
  std::string_view line = text.substr(0, text.find('\n'));
  // "Node 0, zone      DMA": all zones have the same columns.
  for (const std::string_view word : {"Node", "", "zone", ""}) {
    const std::string_view taken = take_word(line);
    if (taken.empty() || (!word.empty() && taken != word)) return std::nullopt;
  }
  const size_t orders = count_words(line);
  if (orders == 0 || orders > kMaxOrders) return std::nullopt;
  return HostBuddyinfo{orders};
}

std::optional<HostCpuTable> parse_softirqs(std::string_view text, uint64_t) {
  return cpu_table(text);
}

std::optional<HostCpuTable> parse_interrupts(std::string_view text, uint64_t) {
  return cpu_table(text);
}

std::optional<HostSchedstat> parse_schedstat(std::string_view text, uint64_t awake_us) {
  HostSchedstat schedstat;
  for_each_line(text, [&](std::string_view line) {
    const std::string_view whole = line;
    const std::string_view key = take_word(line);
    if (key == "version") {
      schedstat.version = whole;
    } else if (key == "timestamp") {
      schedstat.hz = find_hz(parse_u64(line).value_or(0), awake_us);
    } else if (starts_with(key, "cpu")) {
      const auto id = parse_u64(key.substr(3));
      if (!id || *id > kMaxCpuId) return;
      schedstat.cpus.push_back({static_cast<uint32_t>(*id), count_words(line), {}});
    } else if (starts_with(key, "domain") && !schedstat.cpus.empty()) {
      HostSchedstat::Domain domain;
      domain.name = key;
      std::string_view word = take_word(line);
      if (!is_mask(word)) {
        domain.name.append(" ").append(word);
        word = take_word(line);
      }
      if (!is_mask(word)) return;
      domain.mask = word;
      domain.columns = count_words(line);
      schedstat.cpus.back().domains.push_back(std::move(domain));
    }
  });
  if (schedstat.version.empty()) return std::nullopt;
  return schedstat;
}

std::optional<HostLines> parse_arcstats(std::string_view text, uint64_t) {
  // "13 1 0x01 147 39984 <created> <now>" (OpenZFS, kstat_seq_show_headers), "name  type data".
  constexpr size_t kWordsBeforeTimes = 5;
  HostLines out;
  size_t at = 0;
  for_each_line(text, [&](std::string_view line) {
    ++at;
    if (at == 1) {
      for (size_t i = 0; i < kWordsBeforeTimes; ++i) {
        out.heading.append(take_word(line)).push_back(' ');
      }
      out.heading += "0 0\n";
    } else if (at == 2) {
      out.heading.append(line).push_back('\n');
    } else {
      const size_t end = line.find_last_not_of(' ');
      const size_t blank = end == std::string_view::npos ? end : line.find_last_of(' ', end);
      if (blank == std::string_view::npos) return;
      out.heads.emplace_back(line.substr(0, blank + 1));
    }
  });
  if (out.heads.empty()) return std::nullopt;
  return out;
}

}  // namespace vprocfs
