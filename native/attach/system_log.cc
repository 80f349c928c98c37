#include "attach/system_log.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <syslog.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/unix_socket.h"

namespace vprocfs {
namespace {

/// How long each may take: connecting, and sending.
constexpr timeval kPatience{0, 500'000};

/// A socket to the log, empty when there is none; then errno says why.
Fd open_log(int type) {
  const auto address = UnixAddress::at("/dev/log");
  Fd log = unix_socket(type);
  if (!log) return log;
  ::setsockopt(log.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  if (!address->connect(log.get())) log.reset();
  return log;
}

/// "<28>Nov 30 12:00:00 program[1]: line", as syslog(3) writes it.
std::string record_of(const char* program, const std::string& line) {
  const time_t now = ::time(nullptr);
  tm local{};
  char at[32] = "";
  if (::localtime_r(&now, &local) != nullptr) std::strftime(at, sizeof at, "%b %e %T", &local);
  return "<" + std::to_string(LOG_DAEMON | LOG_WARNING) + ">" + at + " " + program + "[" +
         std::to_string(::getpid()) + "]: " + line;
}

}  // namespace

bool warn_system(const char* program, const std::string& line) {
  std::string record = record_of(program, line);
  Fd log = open_log(SOCK_DGRAM);
  if (!log && errno == EPROTOTYPE) {
    log = open_log(SOCK_STREAM);
    // This ends a record there.
    record.push_back('\0');
  }
  return log && ::send(log.get(), record.data(), record.size(), MSG_NOSIGNAL) >= 0;
}

}  // namespace vprocfs
