#include "keeper/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "keeper/notify.h"

namespace vprocfs {
namespace {

constexpr int kFirstListened = 3;

struct Word {
  StoreKind kind;
  const char* word;
};
constexpr Word kWords[] = {{StoreKind::kMemo, "memo"},       {StoreKind::kFuse, "fuse"},
                           {StoreKind::kRefusal, "refusal"}, {StoreKind::kState, "state"},
                           {StoreKind::kFdStore, "vault"},   {StoreKind::kLaunch, "launch"}};

/// A name as sd_notify(3) takes it: no colon, no control character, at most 255 bytes.
struct NameText {
  char text[64];
};

NameText text_of(const StoreName& name) {
  NameText out;
  for (const Word& word : kWords) {
    if (word.kind != name.kind) continue;
    std::snprintf(out.text, sizeof(out.text), "%s-%u-%" PRIx64, word.word, name.which, name.key);
  }
  return out;
}

bool parse_name(const char* text, size_t length, StoreName& out) {
  char copy[64];
  char word[16];
  int end = 0;
  if (length >= sizeof(copy)) return false;
  std::memcpy(copy, text, length);
  copy[length] = '\0';
  if (std::sscanf(copy, "%15[a-z]-%u-%" SCNx64 "%n", word, &out.which, &out.key, &end) != 3) {
    return false;
  }
  if (static_cast<size_t>(end) != length) return false;
  for (const Word& known : kWords) {
    if (std::strcmp(known.word, word) == 0) return out.kind = known.kind, true;
  }
  return false;
}

bool send_put(const StoreName& name, int fd) {
  char text[128];
  // FDPOLL=0: whoever polls /dev/fuse is woken by every request, and that would be PID 1.
  std::snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", text_of(name).text);
  return notify_supervisor(text, fd);
}

bool send_remove(const char* name, size_t length) {
  char text[320];
  std::snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%.*s", static_cast<int>(length), name);
  return notify_supervisor(text);
}

bool is_for_us() {
  const char* pid = std::getenv("LISTEN_PID");
  return pid != nullptr && std::strtol(pid, nullptr, 10) == ::getpid();
}

/// Calls `visit(fd, name, length of the name)` for each descriptor that the manager hands us.
template <typename Visit>
void for_each_offered(Visit visit) {
  const char* count_text = std::getenv("LISTEN_FDS");
  const char* names = std::getenv("LISTEN_FDNAMES");
  const long count =
      is_for_us() && count_text != nullptr ? std::strtol(count_text, nullptr, 10) : 0;
  for (long i = 0; i < count; ++i) {
    const char* name = names == nullptr ? "" : names;
    const size_t length = std::strcspn(name, ":");
    if (names != nullptr) names = name[length] == ':' ? name + length + 1 : nullptr;
    visit(kFirstListened + static_cast<int>(i), name, length);
  }
}

}  // namespace

int offered_as(StoreName name) {
  int found = -1;
  for_each_offered([&](int fd, const char* text, size_t length) {
    StoreName its;
    if (found < 0 && parse_name(text, length, its) && its == name) found = fd;
  });
  return found;
}

void Store::receive() {
  for_each_offered([this](int fd, const char* name, size_t length) {
    // Not one that somebody else opened there meanwhile.
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return;
    StoreName known;
    const bool is_known = parse_name(name, length, known);
    Entry* place = is_known && find(known) == nullptr ? find_free() : nullptr;
    if (place != nullptr) {
      *place = {known, fd, State::kOffered};
      return;
    }
    // Of a version that knew more, or one of two of the same name: nobody here needs it.
    ::close(fd);
    if (!is_known) send_remove(name, length);
  });
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}) {
    ::unsetenv(variable);
  }
}

Store::Entry* Store::find(StoreName name) {
  for (Entry& entry : entries_) {
    if (entry.state != State::kFree && entry.name == name) return &entry;
  }
  return nullptr;
}

Store::Entry* Store::find_free() {
  for (Entry& entry : entries_) {
    if (entry.state == State::kFree) return &entry;
  }
  return nullptr;
}

bool Store::offers(StoreName name) {
  const Entry* entry = find(name);
  return entry != nullptr && entry->state == State::kOffered;
}

Fd Store::take(StoreName name) {
  Entry* entry = find(name);
  if (entry == nullptr || entry->state != State::kOffered) return Fd();
  entry->state = State::kStored;
  return Fd(entry->fd);
}

void Store::drop_offered() {
  for (Entry& entry : entries_) {
    if (entry.state != State::kOffered) continue;
    ::close(entry.fd);
    entry.state = State::kToRemove;
    pending_ = true;
  }
  flush();
}

void Store::put(StoreName name, int fd) {
  if (!has_supervisor() || fd < 0) return;
  Entry* place = find(name);
  if (place != nullptr && place->state == State::kStored && place->fd == fd) return;
  if (place == nullptr) place = find_free();
  if (place == nullptr) return;
  // The manager would keep both.
  const bool has_other = place->state == State::kStored || place->state == State::kToRemove ||
                         place->state == State::kToReplace;
  *place = {name, fd, has_other ? State::kToReplace : State::kToSend};
  pending_ = true;
  flush();
}

void Store::remove(StoreName name) {
  Entry* entry = find(name);
  if (entry == nullptr) return;
  entry->state = State::kToRemove;
  pending_ = true;
  flush();
}

bool Store::flush() {
  if (!pending_) return true;
  // All removals first: the manager ignores a descriptor that it has under another name already,
  // and would have none once that name is removed.
  for (Entry& entry : entries_) {
    if (entry.state != State::kToRemove && entry.state != State::kToReplace) continue;
    const NameText text = text_of(entry.name);
    if (!send_remove(text.text, std::strlen(text.text))) return false;
    entry.state = entry.state == State::kToReplace ? State::kToSend : State::kFree;
  }
  for (Entry& entry : entries_) {
    if (entry.state != State::kToSend) continue;
    if (!send_put(entry.name, entry.fd)) return false;
    entry.state = State::kStored;
  }
  pending_ = false;
  return true;
}

size_t Store::size() const {
  size_t n = 0;
  for (const Entry& entry : entries_) n += entry.state == State::kStored ? 1 : 0;
  return n;
}

bool Store::has_mounts() const {
  for (const Entry& entry : entries_) {
    const bool lacks = entry.state == State::kToSend || entry.state == State::kToReplace;
    if (lacks && entry.name.kind != StoreKind::kFdStore) return false;
  }
  return true;
}

}  // namespace vprocfs
