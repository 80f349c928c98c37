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

LinePiece number_piece(LinePiece::Kind kind, uint64_t number, int width) {
  LinePiece piece;
  piece.kind = kind;
  piece.number = number;
  piece.width = width;
  return piece;
}

LinePiece text_piece(LinePiece::Kind kind, std::string_view text) {
  LinePiece piece;
  piece.kind = kind;
  piece.text = text;
  return piece;
}

}  // namespace

LogLine& LogLine::text(std::string_view value) {
  pieces.push_back(text_piece(LinePiece::Kind::kText, value));
  return *this;
}

LogLine& LogLine::pid(uint64_t value, int width) {
  pieces.push_back(number_piece(LinePiece::Kind::kPid, value, width));
  return *this;
}

LogLine& LogLine::victim(uint64_t value) {
  pieces.push_back(number_piece(LinePiece::Kind::kVictim, value, 0));
  return *this;
}

LogLine& LogLine::user(uint64_t value, int width) {
  pieces.push_back(number_piece(LinePiece::Kind::kUser, value, width));
  return *this;
}

LogLine& LogLine::memory_path(std::string_view path) {
  pieces.push_back(text_piece(LinePiece::Kind::kMemoryPath, path));
  return *this;
}

LogLine& LogLine::pids_path(std::string_view path) {
  pieces.push_back(text_piece(LinePiece::Kind::kPidsPath, path));
  return *this;
}

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
