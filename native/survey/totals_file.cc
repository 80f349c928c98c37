#include "survey/totals_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/fd.h"
#include "base/words.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

constexpr std::string_view kEnd = "end";

}  // namespace

std::string TotalsFile::text(std::string_view lines) const {
  std::string out(first_);
  return out.append("\n").append(lines).append(kEnd).append("\n");
}

bool TotalsFile::parse(std::string_view text, const Take& take) const {
  size_t lines = 0;
  bool valid = true, whole = false;
  for_each_line(text, [&](std::string_view line) {
    if (lines++ == 0) {
      valid = line == first_;
      return;
    }
    whole = line == kEnd;
    if (whole || !valid) return;
    const auto id = ContainerId::parse(std::string(take_word(line)));
    valid = id && lines <= kMaxEntries + 1 && take(*id, line);
  });
  return valid && whole;
}

Result<bool> TotalsFile::save(const std::string& path, const std::string& text) {
  const std::string made = path + ".new";
  const Fd file(::open(made.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return Error{errno, made};
  const ssize_t n = ::write(file.get(), text.data(), text.size());
  if (n < 0) return Error{errno, made};
  if (static_cast<size_t>(n) != text.size()) return Error{ENOSPC, made};
  if (::rename(made.c_str(), path.c_str()) != 0) return Error{errno, path};
  return true;
}

}  // namespace vprocfs
