#include "keeper/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "base/fd.h"

namespace vprocfs {
namespace {

struct LevelRow {
  const char* text;
  int priority;  ///< syslog(3)'s number
};
constexpr LevelRow kLevels[] = {{"error", 3}, {"warn", 4}, {"info", 6}, {"debug", 7}};
static_assert(std::size(kLevels) == static_cast<size_t>(LogLevel::kDebug) + 1);

const LevelRow& row_of(LogLevel level) { return kLevels[static_cast<size_t>(level)]; }

/// Whether something can be written to stderr at once. Pipes and sockets that say so take a line.
bool has_room() {
  pollfd p{STDERR_FILENO, POLLOUT, 0};
  return ::poll(&p, 1, 0) > 0 && (p.revents & POLLOUT) != 0;
}

/// Whoever reads stderr may have stopped, and readers of every container would wait for us. Its
/// description is shared with others, who are to wait as they like.
void write_if_room(const char* line, size_t size) {
  if (!has_room()) return;
  // A terminal may have room for a part, and would have us wait for the rest.
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  constexpr int kFlags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const Fd own(terminal ? ::open("/proc/self/fd/2", kFlags) : -1);
  if (::write(own ? own.get() : STDERR_FILENO, line, size) < 0) return;
}

}  // namespace

bool stderr_is_journal() {
  const char* named = std::getenv("JOURNAL_STREAM");
  struct stat st {};
  if (named == nullptr || ::fstat(STDERR_FILENO, &st) != 0) return false;
  char own[64];
  std::snprintf(own, sizeof(own), "%llu:%llu", static_cast<unsigned long long>(st.st_dev),
                static_cast<unsigned long long>(st.st_ino));
  return std::strcmp(named, own) == 0;
}

const char* to_text(LogLevel level) { return row_of(level).text; }

void keeper_log(const LogOptions& options, LogLevel level, const char* format, ...) {
  if (level > options.level) return;
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  for (char* c = message; *c != '\0'; ++c) {
    if (*c == '"' || *c == '\\' || static_cast<unsigned char>(*c) < 0x20) *c = '?';
  }
  // sd-daemon(3); the journal takes it off again, and has the level and the time from elsewhere.
  char prefix[8] = "";
  if (options.journal) std::snprintf(prefix, sizeof(prefix), "<%d>", row_of(level).priority);
  char line[640];
  const int size =
      options.json ? std::snprintf(line, sizeof(line),
                                   "%s{\"level\":\"%s\",\"name\":\"keeper\",\"msg\":\"%s\"}\n",
                                   prefix, to_text(level), message)
      : options.journal
          ? std::snprintf(line, sizeof(line), "%skeeper: %s\n", prefix, message)
          : std::snprintf(line, sizeof(line), "%s keeper: %s\n", to_text(level), message);
  if (size > 0) write_if_room(line, static_cast<size_t>(size));
}

}  // namespace vprocfs
