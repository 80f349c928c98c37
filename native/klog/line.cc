#include "klog/line.h"

#include <climits>

#include "base/words.h"

namespace vprocfs {
namespace {

void append_number(std::string& out, uint64_t number, int width) {
  const std::string digits = std::to_string(number);
  const auto least = static_cast<size_t>(width);
  if (digits.size() < least) out.append(least - digits.size(), ' ');
  out += digits;
}

}  // namespace

std::string path_below(const std::string& path, const std::string& root) {
  if (root.empty() || !is_below(path, root) || path.size() == root.size()) return "/";
  return root == "/" ? path : path.substr(root.size());
}

std::optional<std::string> translate(const LogLine& line, LineTranslator& to) {
  std::string out;
  for (const LinePiece& piece : line.pieces) {
    switch (piece.kind) {
      case LinePiece::Kind::kText:
        out += piece.text;
        break;
      case LinePiece::Kind::kPid:
      case LinePiece::Kind::kVictim: {
        std::optional<pid_t> own;
        if (piece.number <= INT_MAX) own = to.pid(static_cast<pid_t>(piece.number));
        if (!own && piece.kind == LinePiece::Kind::kPid) return std::nullopt;
        append_number(out, static_cast<uint64_t>(own.value_or(0)), piece.width);
        break;
      }
      case LinePiece::Kind::kUser:
        append_number(out, to.user(piece.number), piece.width);
        break;
      case LinePiece::Kind::kMemoryPath:
        out += to.memory_path(piece.text);
        break;
      case LinePiece::Kind::kPidsPath:
        out += to.pids_path(piece.text);
        break;
    }
  }
  return out;
}

}  // namespace vprocfs
