#include "source/host_parse.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

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
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  const std::string_view key = trim(line.substr(0, colon));
  Start kind = Start::kNone;
  std::string_view number = line.substr(colon + 1);
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
    info_.blocks.push_back({start.cpu, {}});
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

}  // namespace vprocfs
