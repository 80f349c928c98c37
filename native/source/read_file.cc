#include "source/read_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/directory.h"

namespace vprocfs {
namespace {

constexpr size_t kFirstRoom = 4096;

}  // namespace

ssize_t read_piece(int fd, char* to, size_t size, size_t offset) {
  ssize_t n;
  do {
    n = ::pread(fd, to, size, static_cast<off_t>(offset));
  } while (n < 0 && errno == EINTR);
  return n;
}

ssize_t read_up_to(int fd, char* to, size_t size, size_t offset) {
  size_t have = 0;
  while (have < size) {
    const ssize_t n = read_piece(fd, to + have, size - have, offset + have);
    if (n < 0) return n;
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(have);
}

int read_stream(int fd, size_t max_bytes, std::string& text) {
  char piece[16384];
  while (text.size() < max_bytes) {
    const ssize_t n = ::read(fd, piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) break;
    text.append(piece, static_cast<size_t>(n));
  }
  return 0;
}

Result<std::string> read_link(int dir_fd, const std::string& path) {
  char target[4096];
  const ssize_t n = ::readlinkat(dir_fd, path.c_str(), target, sizeof target);
  if (n < 0) return Error{errno, path};
  return std::string(target, static_cast<size_t>(n));
}

Result<Fd> open_file(int dir_fd, const std::string& path) {
  int fd;
  do {
    fd = ::openat(dir_fd, path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return Error{errno, path};
  return Fd(fd);
}

bool ReadBuffer::grow() {
  if (room_.size() >= kMaxFileBytes) return false;
  room_.resize(room_.empty() ? kFirstRoom : room_.size() * 2);
  return true;
}

int ReadBuffer::read_record(int fd) {
  size_ = 0;
  if (room_.empty()) grow();
  for (;;) {
    const ssize_t n = read_piece(fd, room_.data(), room_.size(), 0);
    if (n < 0) return errno;
    if (static_cast<size_t>(n) < room_.size()) {
      size_ = static_cast<size_t>(n);
      return 0;
    }
    if (!grow()) return EFBIG;
  }
}

int ReadBuffer::read_pieces(int fd) {
  size_ = 0;
  size_t have = 0;
  for (;;) {
    if (have == room_.size() && !grow()) return EFBIG;
    const ssize_t n = read_piece(fd, room_.data() + have, room_.size() - have, have);
    if (n < 0) return errno;
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  size_ = have;
  return 0;
}

Result<std::string> read_file(int dir_fd, const std::string& path) {
  auto fd = open_file(dir_fd, path);
  if (!fd) return fd.error();
  ReadBuffer buffer;
  const int code = buffer.read_pieces(fd.value().get());
  if (code != 0) return Error{code, path};
  return std::string(buffer.text());
}

Result<std::vector<std::string>> list_names(int dir_fd, const std::string& path) {
  std::vector<std::string> names;
  const int code = for_each_entry(open_directory(dir_fd, path.c_str()), [&](const dirent& entry) {
    names.emplace_back(entry.d_name);
    return true;
  });
  if (code != 0) return Error{code, path};
  return names;
}

}  // namespace vprocfs
