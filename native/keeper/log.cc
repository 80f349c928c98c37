#include "keeper/log.h"

#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace vprocfs {

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
  char line[640];
  const int size =
      options.json ? std::snprintf(line, sizeof(line),
                                   "{\"level\":\"%s\",\"name\":\"keeper\",\"msg\":\"%s\"}\n",
                                   to_text(level), message)
                   : std::snprintf(line, sizeof(line), "%s keeper: %s\n", to_text(level), message);
  if (size > 0 && ::write(STDERR_FILENO, line, static_cast<size_t>(size)) < 0) return;
}

}  // namespace vprocfs
