#include "keeper/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/cached_stat.h"
#include "fuse/init.h"
#include "fuse/mount.h"
#include "fuse/operations.h"
#include "fuse/protocol.h"
#include "fuse/reply.h"
#include "keeper/log.h"
#include "keeper/mount_table.h"

namespace vprocfs {
namespace {

constexpr int kInitDeadlineMs = 10000;
constexpr int kRefusalsAtOnce = 256;

struct Buffer {
  alignas(8) uint8_t bytes[kRequestBytes];
};

Buffer g_buffer;

constexpr size_t kLongestPlace = sizeof(MemoRecord::mountpoint);
static_assert(sizeof(MemoRecord::polled) == kLongestPlace);

/// Where a memo has the mount point of a connection.
char* place_in(MemoRecord& record, uint32_t number) {
  return number == Connection::kPlain ? record.mountpoint : record.polled;
}

ssize_t read_request(int fd) { return ::read(fd, g_buffer.bytes, sizeof(g_buffer.bytes)); }

/// The device of what is mounted there, without asking whoever serves it; 0 when it cannot be told.
uint64_t device_at(const char* path) {
  return cached_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW).device;
}

/// Whether a connection's file system, which may have ended, is what lies on top there.
bool is_on_top(const KeeperOptions& options, const Connection& c, const char* place) {
  return device_at(place) == c.device && !(c.ended() && is_foreign(options, place));
}

bool answer_init(const KeeperOptions& options, Connection& c) {
  for (;;) {
    pollfd p{c.fuse.get(), POLLIN, 0};
    if (::poll(&p, 1, kInitDeadlineMs) <= 0) {
      keeper_log(options.log, LogLevel::kError, "the kernel sent no INIT");
      return false;
    }
    const ssize_t n = read_request(c.fuse.get());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < static_cast<ssize_t>(sizeof(fuse_in_header))) return false;
    const Request request(g_buffer.bytes, static_cast<size_t>(n));
    const Reply reply(c.fuse.get());
    fuse_init_out out{};
    const InitAnswer answer =
        request.header().opcode == FUSE_INIT
            ? negotiate(request.payload(), request.payload_size(),
                        {options.tick, kernel_limits_requests()}, out, c.negotiated)
            : InitAnswer::kRefused;
    if (answer == InitAnswer::kRefused) {
      reply.error(request.header().unique, EPROTO);
      keeper_log(options.log, LogLevel::kError, "this kernel's FUSE is too old");
      return false;
    }
    reply.value(request.header().unique, out);
    if (answer == InitAnswer::kAgreed) return true;
  }
}

bool clone(const KeeperOptions& options, Connection& c) {
  auto refusal = clone_fuse(c.fuse.get(), O_NONBLOCK);
  if (!refusal) {
    keeper_log(options.log, LogLevel::kError, "/dev/fuse: cannot clone: %s",
               std::strerror(refusal.error().code));
    return false;
  }
  c.refusal = std::move(refusal.value());
  return true;
}

}  // namespace

const Connection::Held Connection::kHeld[3] = {{StoreKind::kFuse, &Connection::fuse},
                                               {StoreKind::kRefusal, &Connection::refusal},
                                               {StoreKind::kState, &Connection::state}};

bool Connection::resend() const { return made() && (negotiated.flags & kFuseHasResend) != 0; }

bool Connection::ended() const {
  pollfd p{refusal.get(), 0, 0};
  return refusal && ::poll(&p, 1, 0) > 0 && (p.revents & POLLERR) != 0;
}

void Connection::requeue() const {
  if (resend()) Reply(fuse.get()).notify_resend();
}

void Connection::refuse_some() const {
  for (int i = 0; i < kRefusalsAtOnce && refuse_one(); ++i) {
  }
}

bool Connection::refuse_one() const {
  const ssize_t n = read_request(refusal.get());
  // ENOENT: the request was interrupted while it was handed over.
  if (n < 0) return errno == ENOENT || errno == EINTR;
  if (n < static_cast<ssize_t>(sizeof(fuse_in_header))) return false;
  const Request request(g_buffer.bytes, static_cast<size_t>(n));
  // Nobody waits for a release, and the next worker has to know of it: it gets it when it has what
  // was taken and not answered sent again.
  const uint32_t opcode = request.header().opcode;
  if (opcode == FUSE_RELEASE && resend()) return true;
  if (operation_of(opcode).waiter != Waiter::kNobody) {
    // To close a file is no error: of FLUSH workers say that there is none.
    const int error = opcode == FUSE_FLUSH ? ENOSYS : answered_errno(opcode, EIO);
    Reply(refusal.get()).error(request.header().unique, error);
  }
  return true;
}

Connection connection_of(const KeeperOptions& options, uint32_t number) {
  Connection out;
  out.number = number;
  out.mountpoint = number == Connection::kPlain ? options.mountpoint : options.polled;
  return out;
}

bool connect(const KeeperOptions& options, Connection& out) {
  auto memory = StateFile::make_memfd();
  auto fuse = mount_fuse(out.mountpoint, options.type, options.source, options.tick);
  if (!memory || !fuse) {
    const Error& error = memory ? fuse.error() : memory.error();
    keeper_log(options.log, LogLevel::kError, "%s: cannot mount: %s", error.path.c_str(),
               std::strerror(error.code));
    if (fuse) disconnect(options, out);
    return false;
  }
  out.state = std::move(memory.value());
  out.fuse = std::move(fuse.value());
  if (answer_init(options, out) && clone(options, out) &&
      StateFile::repair_connection(out.state.get(), out.negotiated)) {
    out.device = device_at(out.mountpoint);
    return true;
  }
  disconnect(options, out);
  // What is left of it is no connection.
  out = connection_of(options, out.number);
  return false;
}

bool adopt(const KeeperOptions& options, Store& store, Memo& memo, Connection& out) {
  for (const Connection::Held& held : Connection::kHeld) {
    out.*held.fd = store.take({held.kind, out.number, 0});
  }
  const MemoRecord& known = memo.record();
  const auto& its = known.connections[out.number];
  if (!out.fuse && its.negotiated.initialised == 0) return false;
  out.negotiated = its.negotiated;
  out.device = its.device;
  const bool whole = out.fuse && out.refusal && out.state && its.negotiated.initialised == 1;
  const bool same = out.mountpoint != nullptr && known.mounted_as == mounted_as(options);
  if (whole && same && !out.ended() && out.device != 0 && device_at(out.mountpoint) == out.device) {
    StateFile::repair_connection(out.state.get(), out.negotiated);
    return true;
  }
  keeper_log(options.log, LogLevel::kWarn, "not continuing with the earlier mount: %s",
             !whole         ? "some of its descriptors are missing"
             : !same        ? "it is configured differently now"
             : out.ended()  ? "it has ended"
             : is_free(out) ? "somebody has unmounted it"
                            : "something else is mounted at the mount point");
  const char* const place = place_in(memo.record(), out.number);
  if (place[0] != '\0' && out.device != 0 && is_on_top(options, out, place)) {
    bool lazy = false;
    static_cast<void>(unmount_fuse(place, lazy));
  }
  forget(out, memo, store);
  out = connection_of(options, out.number);
  return false;
}

bool is_free(const Connection& connection) {
  const std::string parent = std::string(connection.mountpoint) + "/..";
  return device_at(parent.c_str()) == device_at(connection.mountpoint);
}

void keep(const Connection& connection, const KeeperOptions& options, Memo& memo, Store& store) {
  MemoRecord& known = memo.record();
  if (std::strlen(connection.mountpoint) < kLongestPlace) {
    std::strcpy(place_in(known, connection.number), connection.mountpoint);
  }
  known.mounted_as = mounted_as(options);
  known.connections[connection.number] = {connection.device, connection.negotiated};
  for (const Connection::Held& held : Connection::kHeld) {
    store.put({held.kind, connection.number, 0}, (connection.*held.fd).get());
  }
}

void forget(const Connection& connection, Memo& memo, Store& store) {
  memo.record().connections[connection.number] = {};
  for (const Connection::Held& held : Connection::kHeld) {
    store.remove({held.kind, connection.number, 0});
  }
}

void abort_connection(const KeeperOptions& options, const Connection& connection) {
  // Once it has ended its number may be another one's.
  if (connection.device == 0 || connection.ended()) return;
  const auto done = abort_fuse(connection.device);
  if (done) return;
  keeper_log(options.log, LogLevel::kError,
             "readers of %s may wait until its worker ends: cannot end the connection: %s",
             connection.mountpoint, problem_of(done.error()).c_str());
}

void disconnect(const KeeperOptions& options, const Connection& connection) {
  if (connection.device != 0 && !is_on_top(options, connection, connection.mountpoint)) return;
  bool lazy = false;
  const auto done = unmount_fuse(connection.mountpoint, lazy);
  if (done && lazy) {
    keeper_log(options.log, LogLevel::kWarn, "%s was busy: unmounted lazily",
               connection.mountpoint);
  }
}

}  // namespace vprocfs
