#include "keeper/connection.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "fuse/init.h"
#include "fuse/mount.h"
#include "fuse/protocol.h"
#include "keeper/log.h"

namespace vprocfs {
namespace {

constexpr int kInitDeadlineMs = 10000;

struct Buffer {
  alignas(8) uint8_t bytes[kRequestBytes];
};

bool answer_init(const KeeperOptions& options, Connection& c) {
  static Buffer buffer;
  for (;;) {
    pollfd p{c.fuse.get(), POLLIN, 0};
    if (::poll(&p, 1, kInitDeadlineMs) <= 0) {
      keeper_log(options.json, "error", "the kernel sent no INIT");
      return false;
    }
    const ssize_t n = ::read(c.fuse.get(), buffer.bytes, sizeof(buffer.bytes));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < static_cast<ssize_t>(sizeof(fuse_in_header))) return false;
    const Request request(buffer.bytes, static_cast<size_t>(n));
    const Reply reply(c.fuse.get());
    fuse_init_out out{};
    ConnectionState agreed;
    const InitAnswer answer =
        request.header().opcode == FUSE_INIT
            ? negotiate(request.payload(), request.payload_size(), options.tick, out, agreed)
            : InitAnswer::kRefused;
    if (answer == InitAnswer::kRefused) {
      reply.error(request.header().unique, EPROTO);
      keeper_log(options.json, "error", "this kernel's FUSE is too old");
      return false;
    }
    if (answer == InitAnswer::kAgreed) c.file->set_connection(agreed);
    reply.value(request.header().unique, out);
    if (answer == InitAnswer::kAgreed) return true;
  }
}

}  // namespace

bool Connection::resend() const { return (file->connection().flags & kFuseHasResend) != 0; }

void Connection::requeue() const {
  if (resend()) Reply(fuse.get()).notify_resend();
}

bool Connection::refuse_one() const {
  static Buffer buffer;
  pollfd p{fuse.get(), POLLIN, 0};
  if (::poll(&p, 1, 0) <= 0 || (p.revents & POLLIN) == 0) return false;
  const ssize_t n = ::read(fuse.get(), buffer.bytes, sizeof(buffer.bytes));
  if (n < static_cast<ssize_t>(sizeof(fuse_in_header))) return false;
  const Request request(buffer.bytes, static_cast<size_t>(n));
  switch (request.header().opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
    case FUSE_NOTIFY_REPLY:
      return true;
    default:
      Reply(fuse.get()).error(request.header().unique, EIO);
      return true;
  }
}

bool connect(const KeeperOptions& options, Connection& out) {
  auto memory = StateFile::make_memfd();
  auto fuse = mount_fuse(options.mountpoint, options.type, options.source, options.tick);
  if (!memory || !fuse) {
    const Error& error = memory ? fuse.error() : memory.error();
    keeper_log(options.json, "error", "%s: cannot mount: %s", error.path.c_str(),
               std::strerror(error.code));
    return false;
  }
  const int state_fd = memory.value().release();
  return reconnect(options, fuse.value().release(), state_fd, out) && answer_init(options, out);
}

bool reconnect(const KeeperOptions& options, int fuse_fd, int state_fd, Connection& out) {
  out.fuse = Fd(fuse_fd);
  out.state = Fd(state_fd);
  auto file = StateFile::open(state_fd, nullptr);
  if (!file) {
    keeper_log(options.json, "error", "state file: %s", std::strerror(file.error().code));
    return false;
  }
  out.file = std::move(file.value());
  return true;
}

}  // namespace vprocfs
