#include "keeper/log.h"

#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace vprocfs {

void keeper_log(bool json, const char* level, const char* format, ...) {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  for (char* c = message; *c != '\0'; ++c) {
    if (*c == '"' || *c == '\\' || static_cast<unsigned char>(*c) < 0x20) *c = '?';
  }
  char line[640];
  const int size = json ? std::snprintf(line, sizeof(line),
                                        "{\"level\":\"%s\",\"name\":\"keeper\",\"msg\":\"%s\"}\n",
                                        level, message)
                        : std::snprintf(line, sizeof(line), "%s keeper: %s\n", level, message);
  if (size > 0 && ::write(STDERR_FILENO, line, static_cast<size_t>(size)) < 0) return;
}

}  // namespace vprocfs
