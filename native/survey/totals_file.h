#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "source/container_id.h"

namespace vprocfs {

/// The form of the files that keep what surveys have counted: a first line that tells the version,
/// one line for each container, which begins with its id, and a last line without which the file
/// is not whole.
class TotalsFile {
 public:
  /// The most containers that are kept, as many as a survey has at most.
  static constexpr size_t kMaxEntries = 10000;

  explicit constexpr TotalsFile(std::string_view first) : first_(first) {}

  /// `lines`: of the containers, each with its end.
  std::string text(std::string_view lines) const;
  /// Calls `take` with each container and the rest of its line. False: `text` is not a whole text()
  /// of this version, or `take` has returned false.
  using Take = std::function<bool(ContainerId id, std::string_view rest)>;
  bool parse(std::string_view text, const Take& take) const;

  /// Replaces the file: a reader sees the old one or the new one.
  static Result<bool> save(const std::string& path, const std::string& text);

 private:
  const std::string_view first_;
};

}  // namespace vprocfs
