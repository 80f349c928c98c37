#include "keeper/log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace vprocfs {
namespace {

/// syslog(3)'s number.
int priority_of(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return 3;
    case LogLevel::kWarn:
      return 4;
    case LogLevel::kInfo:
      return 6;
    case LogLevel::kDebug:
      return 7;
  }
  return 6;
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

const char* to_text(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      return "debug";
  }
  return "?";
}

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
  if (options.journal) std::snprintf(prefix, sizeof(prefix), "<%d>", priority_of(level));
  char line[640];
  const int size =
      options.json ? std::snprintf(line, sizeof(line),
                                   "%s{\"level\":\"%s\",\"name\":\"keeper\",\"msg\":\"%s\"}\n",
                                   prefix, to_text(level), message)
      : options.journal
          ? std::snprintf(line, sizeof(line), "%skeeper: %s\n", prefix, message)
          : std::snprintf(line, sizeof(line), "%s keeper: %s\n", to_text(level), message);
  if (size > 0 && ::write(STDERR_FILENO, line, static_cast<size_t>(size)) < 0) return;
}

}  // namespace vprocfs
