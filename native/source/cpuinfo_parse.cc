#include <map>
#include <utility>

#include "source/host_parse.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// One "key   : value" line. Architectures differ in the blanks around the colon.
struct Field {
  std::string_view key;    ///< without the blanks
  std::string_view value;  ///< after the colon and its blanks, without the newline
};

Field field_of(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  return {trim(line.substr(0, colon)), trim(line.substr(colon + 1))};
}

/// How a block begins, and so where its blank lines belong.
enum class Start {
  kNone,
  kProcessor,  ///< "processor : 3": a block up to its blank line
  kListed,     ///< s390x's "processor 3: version = ...": one line
  kDetail,     ///< s390x's "cpu number : 3": the blank line before it is its own
};

struct StartLine {
  Start kind = Start::kNone;
  uint32_t cpu = 0;
};

StartLine classify(std::string_view line) {
  constexpr std::string_view kProcessor = "processor", kNumber = "cpu number";
  auto [key, number] = field_of(line);
  Start kind = Start::kNone;
  if (key == kProcessor) {
    kind = Start::kProcessor;
  } else if (key == kNumber) {
    kind = Start::kDetail;
  } else if (starts_with(key, "processor ")) {
    kind = Start::kListed;
    number = key.substr(kProcessor.size());
  }
  const auto cpu = parse_u64(number);
  if (kind == Start::kNone || !cpu || *cpu > kMaxCpuId) return {};
  return {kind, static_cast<uint32_t>(*cpu)};
}

bool is_blank(std::string_view line) { return trim(line).empty(); }

/// Calls `field(Field, Place)` for each line of a text that has a value.
template <typename F>
void for_each_field(std::string_view text, F field) {
  for_each_line(text, [&](std::string_view line) {
    const Field found = field_of(line);
    if (found.value.empty()) return;
    const auto at = static_cast<size_t>(found.value.data() - text.data());
    field(found, HostCpuinfo::Place{at, found.value.size()});
  });
}

/// Finds the counts in a text's lines, and which CPUs form a package.
class Topology {
 public:
  explicit Topology(HostCpuinfo& info) : info_(info) {}

  void find() {
    for_each_field(info_.header, [this](Field field, HostCpuinfo::Place place) {
      if (field.key == "# processors") info_.processors = place;
    });
    for (auto& block : info_.blocks) find_in(block);
  }

 private:
  void find_in(HostCpuinfo::Block& block) {
    // s390x counts packages within books and drawers.
    std::string_view package, book, drawer;
    for_each_field(block.text, [&](Field field, HostCpuinfo::Place place) {
      if (field.key == "physical id") package = field.value;
      if (field.key == "book id") book = field.value;
      if (field.key == "drawer id") drawer = field.value;
      if (field.key == "core id") block.core = field.value;
      if (field.key == "siblings") block.siblings = place;
      if (field.key == "cpu cores") block.cores = place;
    });
    if (package.empty()) return;
    std::string name(package);
    name.append("/").append(book).append("/").append(drawer);
    block.package = packages_.emplace(std::move(name), packages_.size()).first->second;
    info_.package_cpus.resize(packages_.size());
    ++info_.package_cpus[block.package];
  }

  HostCpuinfo& info_;
  std::map<std::string, size_t> packages_;  ///< their names and numbers
};

class Cutter {
 public:
  void take(std::string_view line) {
    const StartLine start = classify(line);
    if (start.kind != Start::kNone) {
      begin(start);
    } else if (is_blank(line)) {
      blanks_ += line;
      return;
    } else if (!info_.blocks.empty() && !blanks_.empty()) {
      // Text after a block's blank line that begins no block belongs to no CPU.
      current().append(blanks_);
      blanks_.clear();
      in_trailer_ = true;
    }
    current().append(blanks_).append(line);
    blanks_.clear();
  }

  HostCpuinfo finish() {
    current().append(blanks_);
    Topology(info_).find();
    return std::move(info_);
  }

 private:
  void begin(const StartLine& start) {
    // A trailer that is followed by a block was none.
    if (in_trailer_) {
      info_.blocks.back().text += info_.trailer;
      info_.trailer.clear();
      in_trailer_ = false;
    }
    if (start.kind != Start::kDetail) {
      current().append(blanks_);
      blanks_.clear();
    }
    info_.blocks.emplace_back().cpu = start.cpu;
  }

  std::string& current() {
    if (in_trailer_) return info_.trailer;
    return info_.blocks.empty() ? info_.header : info_.blocks.back().text;
  }

  HostCpuinfo info_;
  std::string blanks_;  ///< seen, and not yet known where they belong
  bool in_trailer_ = false;
};

}  // namespace

HostCpuinfo parse_cpuinfo(std::string_view text) {
  Cutter cutter;
  while (!text.empty()) cutter.take(take_line(text));
  return cutter.finish();
}

bool is_cpuinfo_of(const HostCpuinfo& info, std::string_view text) {
  const auto take = [&text](const std::string& part) {
    if (!starts_with(text, part)) return false;
    text.remove_prefix(part.size());
    return true;
  };
  return take(info.header) &&
         std::all_of(info.blocks.begin(), info.blocks.end(),
                     [&](const HostCpuinfo::Block& block) { return take(block.text); }) &&
         take(info.trailer) && text.empty();
}

}  // namespace vprocfs
