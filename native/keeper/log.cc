#include "keeper/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string_view>

#include "base/fd.h"
#include "base/fixed_text.h"
#include "base/json_writer.h"

namespace vprocfs {
namespace {

struct LevelRow {
  const char* text;
  int priority;  ///< syslog(3)'s number
};
constexpr LevelRow kLevels[] = {{"error", 3}, {"warn", 4}, {"info", 6}, {"debug", 7}};
static_assert(std::size(kLevels) == static_cast<size_t>(LogLevel::kDebug) + 1);

const LevelRow& row_of(LogLevel level) { return kLevels[static_cast<size_t>(level)]; }

/// The longest message, and the longest note about dropped lines.
constexpr size_t kMessageBytes = 512, kLostBytes = 48;

/// Whether something can be written to stderr at once.
bool has_room() {
  pollfd p{STDERR_FILENO, POLLOUT, 0};
  return ::poll(&p, 1, 0) > 0 && (p.revents & POLLOUT) != 0;
}

/// Whoever reads stderr may have stopped, and readers of every container would wait for us. What
/// poll(2) says is not enough: workers may write first, and a terminal may have room for a part.
/// The description is shared with others, who are to wait as they like, so it is another one that
/// does not block, but for sockets, which cannot be opened. False: it was not written.
bool write_if_room(std::string_view line) {
  if (!has_room()) return false;
  struct stat st {};
  if (::fstat(STDERR_FILENO, &st) != 0) return false;
  if (S_ISSOCK(st.st_mode)) {
    return ::send(STDERR_FILENO, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  }
  const bool may_block = S_ISFIFO(st.st_mode) || ::isatty(STDERR_FILENO) == 1;
  constexpr int kFlags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const Fd own(may_block ? ::open("/proc/self/fd/2", kFlags) : -1);
  // Nobody reads it; or there is no descriptor to be had, for the moment.
  const bool later = errno == ENXIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM;
  if (may_block && !own && later) return false;
  return ::write(own ? own.get() : STDERR_FILENO, line.data(), line.size()) >= 0;
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
  char message[kMessageBytes + kLostBytes];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, kMessageBytes, format, arguments);
  va_end(arguments);
  const size_t length = std::strlen(message);
  if (options.dropped != 0) {
    std::snprintf(message + length, sizeof(message) - length,
                  " (lines dropped before: %" PRIu64 ")", options.dropped);
  }
  FixedText<sizeof(message) * kJsonEscapeBytes + 128> line;
  // sd-daemon(3); the journal takes it off again, and has the level and the time from elsewhere.
  char prefix[8];
  std::snprintf(prefix, sizeof(prefix), "<%d>", row_of(level).priority);
  if (options.journal) line.append(prefix);
  if (options.json) {
    JsonWriter json(line);
    json.begin_object().key("level").text(to_text(level)).key("name").text("keeper");
    json.key("msg").text(message).end_object();
  } else {
    if (!options.journal) line.append(to_text(level));
    line.append(options.journal ? "keeper: " : " keeper: ");
    // Nothing in it may look like another line.
    for (char* c = message; *c != '\0'; ++c) {
      if (static_cast<unsigned char>(*c) < 0x20 || *c == 0x7f) *c = '?';
    }
    line.append(message);
  }
  line.append("\n");
  options.dropped = write_if_room(line.text()) ? 0 : options.dropped + 1;
}

}  // namespace vprocfs
