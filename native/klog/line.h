#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vprocfs {

/// A part of a line of the host's log, which a container may know by another name.
struct LinePiece {
  enum class Kind : uint8_t {
    kText,
    kPid,         ///< a line whose process the container does not know is left out
    kVictim,      ///< the same, but 0 stands for one that is not known (any more)
    kUser,        ///< a user id
    kMemoryPath,  ///< a cgroup, where memory is accounted
    kPidsPath,    ///< a cgroup, where processes are counted
  };
  Kind kind = Kind::kText;
  std::string text;     ///< of kText and paths
  uint64_t number = 0;  ///< of the others, as the host has it
  int width = 0;        ///< to which a number is padded on the left
};

/// A line that may be shown to containers, before translation: only the numbers and paths that are
/// still to be translated are the host's.
struct LogLine {
  uint64_t sequence = 0;  ///< of the host's record
  uint64_t time_us = 0;   ///< of the log's clock
  uint8_t level = 6;
  /// About all cgroups below a limit: only for containers that hold all of them.
  bool of_limit = false;
  std::vector<LinePiece> pieces;

  LogLine() = default;
  LogLine(uint64_t sequence_, uint64_t time_us_, uint8_t level_)
      : sequence(sequence_), time_us(time_us_), level(level_) {}

  LogLine& text(std::string_view text) { return add(Kind::kText, text); }
  LogLine& pid(uint64_t pid, int width = 0) { return add(Kind::kPid, {}, pid, width); }
  LogLine& victim(uint64_t pid) { return add(Kind::kVictim, {}, pid); }
  LogLine& user(uint64_t uid, int width = 0) { return add(Kind::kUser, {}, uid, width); }
  LogLine& memory_path(std::string_view path) { return add(Kind::kMemoryPath, path); }
  LogLine& pids_path(std::string_view path) { return add(Kind::kPidsPath, path); }

 private:
  using Kind = LinePiece::Kind;
  LogLine& add(Kind kind, std::string_view text, uint64_t number = 0, int width = 0) {
    pieces.push_back({kind, std::string(text), number, width});
    return *this;
  }
};

/// Translates the host's names into one container's.
class LineTranslator {
 public:
  virtual ~LineTranslator() = default;
  /// Nothing: the container does not know the process, or it is gone.
  virtual std::optional<pid_t> pid(pid_t host) = 0;
  virtual uint64_t user(uint64_t host) = 0;
  /// "/" for a cgroup that is not the container's.
  virtual std::string memory_path(const std::string& host) = 0;
  virtual std::string pids_path(const std::string& host) = 0;
};

/// The line as a container sees it; nothing: it may not see the line.
std::optional<std::string> translate(const LogLine& line, LineTranslator& to);

/// A cgroup's path as seen from the cgroup `root`: "/" for that itself and for all not below it.
std::string path_below(const std::string& path, const std::string& root);

}  // namespace vprocfs
