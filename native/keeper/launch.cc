#include "keeper/launch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/affix.h"
#include "base/fnv.h"
#include "keeper/log.h"
#include "keeper/store.h"

extern char** environ;

namespace vprocfs {

/// Fields are for ever; another version is not read.
struct LaunchRecord {
  static constexpr uint32_t kVersion = 1;
  static constexpr size_t kRoom = 65536 - 24;
  uint32_t version;
  uint32_t proven;    ///< 1: a worker of this launch has served
  uint64_t command;   ///< what launched_by() says; 0: nothing is written down
  uint32_t bytes;     ///< of `words`
  uint32_t begun;     ///< executions of the command since a keeper came of one; 0 of older versions
  char words[kRoom];  ///< the keeper's command line, each word ended by a 0
};

namespace {

static_assert(sizeof(LaunchRecord) == 65536);

/// What launch() tells the keeper that comes of it: the number of launched_by().
constexpr char kVariable[] = "VPROCFS_KEEPER_LAUNCH";
constexpr char kUnchanged[] = "--unchanged";
/// So often the command is executed while readers wait. Less would take a start that somebody has
/// killed for one that fails.
constexpr uint32_t kTries = 3;

uint64_t add(uint64_t hash, const char* word) { return fnv(hash, {word, std::strlen(word) + 1}); }

/// A number for a command and the variables that decide what it does, in any order. Never 0.
uint64_t launched_by(char* const* command) {
  uint64_t hash = kFnvSeed;
  for (; *command != nullptr; ++command) hash = add(hash, *command);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const bool ours =
        starts_with(*variable, "VPROCFS_") && !starts_with(*variable, "VPROCFS_KEEPER_");
    if (ours || starts_with(*variable, "NODE_") || starts_with(*variable, "PATH=")) {
      hash += add(kFnvSeed, *variable);
    }
  }
  return hash == 0 ? 1 : hash;
}

/// `stamp` as stampOf() of src/keeper.ts writes it: a file's state, a blank, its path.
bool is_unchanged(const char* stamp) {
  const char* blank = std::strchr(stamp, ' ');
  if (blank == nullptr) return false;
  struct stat st {};
  char now[96] = "-";
  const auto ns = [](const timespec& time) {
    return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
  };
  if (::stat(blank + 1, &st) == 0) {
    std::snprintf(now, sizeof(now), "%ju:%jd:%" PRId64 ":%" PRId64,
                  static_cast<uintmax_t>(st.st_ino), static_cast<intmax_t>(st.st_size),
                  ns(st.st_mtim), ns(st.st_ctim));
  }
  const auto length = static_cast<size_t>(blank - stamp);
  return std::strlen(now) == length && std::memcmp(now, stamp, length) == 0;
}

/// Whether every file that a keeper's command line depends on is as it was.
bool are_unchanged(char* const* argv) {
  bool any = false;
  for (; argv[0] != nullptr && argv[1] != nullptr && std::strcmp(argv[0], "--") != 0; argv += 2) {
    if (std::strcmp(argv[0], kUnchanged) != 0) continue;
    any = true;
    if (!is_unchanged(argv[1])) return false;
  }
  return any;
}

}  // namespace

bool Launch::open(Fd fd) {
  if (!memory_.open(std::move(fd), "vprocfs-launch", sizeof(LaunchRecord))) return false;
  record_ = memory_.as<LaunchRecord>();
  return true;
}

void Launch::write(const KeeperOptions& options) {
  if (record_ == nullptr) return;
  record_->version = LaunchRecord::kVersion;
  record_->proven = 0;
  record_->begun = 0;
  record_->command = 0;
  record_->bytes = 0;
  const char* command = std::getenv(kVariable);
  if (command == nullptr) return;
  size_t bytes = 0;
  for (char* const* word = options.self; *word != nullptr; ++word) {
    const size_t length = std::strlen(*word) + 1;
    if (bytes + length > LaunchRecord::kRoom) return;
    std::memcpy(record_->words + bytes, *word, length);
    bytes += length;
  }
  record_->bytes = static_cast<uint32_t>(bytes);
  record_->command = std::strtoull(command, nullptr, 16);
}

void Launch::confirm() {
  if (record_ != nullptr) record_->proven = 1;
}

bool Launch::begin() {
  if (record_->version != LaunchRecord::kVersion) return true;
  if (record_->begun >= kTries) return false;
  ++record_->begun;
  return true;
}

void Launch::refused() {
  if (record_->version == LaunchRecord::kVersion) record_->begun = kTries - 1;
}

bool Launch::matches(uint64_t command, char** argv, size_t room) {
  const size_t bytes = record_->bytes;
  if (record_->version != LaunchRecord::kVersion || record_->proven != 1 ||
      record_->command != command || bytes == 0 || bytes > LaunchRecord::kRoom ||
      record_->words[bytes - 1] != '\0') {
    return false;
  }
  size_t count = 0;
  for (size_t at = 0; at < bytes; at += std::strlen(record_->words + at) + 1) {
    if (count + 1 >= room) return false;
    argv[count++] = record_->words + at;
  }
  argv[count] = nullptr;
  if (!are_unchanged(argv + 1)) return false;
  record_->proven = 0;
  return true;
}

int launch(const KeeperOptions& options) {
  constexpr size_t kMaxArguments = 256;
  static char* argv[kMaxArguments];
  const uint64_t command = launched_by(options.worker);
  char text[24];
  std::snprintf(text, sizeof(text), "%" PRIx64, command);
  ::setenv(kVariable, text, 1);
  Launch last;
  // A duplicate: the keeper, or whoever starts it, finds what is offered as it was.
  const int offered = offered_as({StoreKind::kLaunch});
  if (offered >= 0 && last.open(Fd(::fcntl(offered, F_DUPFD_CLOEXEC, 0)))) {
    if (last.matches(command, argv, kMaxArguments)) ::execv(argv[0], argv);
    if (offered_as({StoreKind::kFuse}) >= 0 && !last.begin()) return 1;
  }
  ::execvp(options.worker[0], options.worker);
  keeper_log(options.log, LogLevel::kError, "%s: %s", options.worker[0], std::strerror(errno));
  return 127;
}

}  // namespace vprocfs
