#include "fuse/server.h"

#include <poll.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "fuse/init.h"

namespace vprocfs {

Server::Server(const Reply& reply, Registry& registry, HostSource& host, StateFile& state,
               Tree tree, const ServerOptions& options)
    : serving_(reply, registry, host, state, std::move(tree), options),
      files_(serving_, state.connection().tick != 0),
      kmsg_(make_kmsg()) {}

std::unique_ptr<Kmsg> Server::make_kmsg() {
  if (serving_.options.kernel_logs.logs == nullptr) return nullptr;
  Answers& answers = serving_.answers;
  return std::make_unique<Kmsg>(Kmsg::Uses{
      answers.reply,
      serving_.registry,
      serving_.state,
      serving_.options.kernel_logs,
      [&answers](const Request& r, int errno_value) { answers.fail(r, errno_value); },
      [&answers](const Request& r, const Error& error) { answers.fail(r, error); },
      [this](const Kmsg::ContainerPtr& container) { return serving_.full(container); },
      [this](const Request& r, const Kmsg::ContainerPtr& container, const Kmsg::Work& work) {
        serving_.turns.in_turn(r, container, work);
      },
      [](NodeId node, const View& view, uint64_t size) {
        return attributes_of(node, S_IFREG | view.mode, size);
      },
  });
}

bool Server::is_for_log(const Request& r) {
  const View* view = kmsg_ ? serving_.tree.file(NodeId(r.header().nodeid).index()) : nullptr;
  return view != nullptr && is_of_log(*view) && kmsg_->handle(r, *view);
}

void Server::start_helpers() {
  serving_.notifier.start();
  serving_.turns.start();
  serving_.triggers.start();
  if (kmsg_) kmsg_->start();
}

void Server::stop_helpers() {
  if (kmsg_) kmsg_->stop();
  serving_.turns.stop();
  serving_.triggers.stop();
  serving_.notifier.stop();
}

void Server::handle(const Request& r) {
  r.set_taken(monotonic_ns());
  dispatch(r);
  serving_.answers.measure(r);
}

void Server::dispatch(const Request& r) {
  using Handler = void (Server::*)(const Request&);
  static constexpr auto kHandlers = [] {
    std::array<Handler, kOpcodes> handlers{};
#define VPROCFS_OPERATION(NAME, argument, measured, answered, handler) \
  handlers[FUSE_##NAME] = &Server::handler;
#include "fuse/operations.def"
#undef VPROCFS_OPERATION
    return handlers;
  }();
  const uint32_t opcode = r.header().opcode;
  Counters& counters = serving_.answers.counters;
  if (opcode < kOpcodes) counters.requests[opcode].fetch_add(1, std::memory_order_relaxed);
  if (r.resent()) counters.resent.fetch_add(1, std::memory_order_relaxed);
  const OperationRow& row = operation_of(opcode);
  if (row.name == nullptr) return unsupported(r);
  if (r.payload_size() < row.least_bytes) {
    if (row.answered) fail(r, EINVAL);
    return;
  }
  if (is_for_log(r)) return;
  (this->*kHandlers[opcode])(r);
}

/// The kernel remembers it and stops asking: FLUSH, xattrs, ...
void Server::unsupported(const Request& r) { reply().error(r.header().unique, ENOSYS); }

void Server::statfs(const Request& r) {
  fuse_statfs_out out{};
  out.st.bsize = 4096;
  out.st.frsize = 4096;
  out.st.namelen = 255;
  reply().value(r.header().unique, out);
}

/// Ids are derived: there is nothing to forget.
void Server::ignore(const Request&) {}

void Server::acknowledge(const Request& r) { reply().ok(r.header().unique); }

void Server::seek(const Request& r) {
  // The kernel would remember ENOSYS, and ask no more where readers of logs seek.
  if (kmsg_) return fail(r, EINVAL);
  unsupported(r);
}

void Server::refuse_ioctl(const Request& r) { fail(r, ENOTTY); }

/// As of a file without an fsync method.
void Server::refuse_sync(const Request& r) { fail(r, EINVAL); }

void Server::refuse_creation(const Request& r) { files_of(r).refuse_creation(r); }

void Server::refuse_name(const Request& r) { files_of(r).refuse_name(r); }

void Server::refuse_removal(const Request& r) {
  // The directory forbids others to write before proc says that nobody can.
  fail(r, r.header().uid == 0 ? EPERM : EACCES);
}

void Server::init(const Request& r) {
  fuse_init_out out{};
  ConnectionState agreed;
  const InitAnswer answer =
      negotiate(r.payload(), r.payload_size(), serving_.options.tick, out, agreed);
  if (answer == InitAnswer::kRefused) return fail(r, EPROTO);
  if (answer == InitAnswer::kAgreed) {
    serving_.state.set_connection(agreed);
    files_.set_tick(agreed.tick != 0);
  }
  reply().value(r.header().unique, out);
}

void Server::interrupt(const Request& r) {
  const auto* in = r.arg<fuse_interrupt_in>();
  if (kmsg_ && kmsg_->interrupt(in->unique)) return;
  Turns& turns = serving_.turns;
  turns.interrupt(in->unique);
  // A reader of a log ends with any signal, and another thread may be about to have it wait. The
  // kernel sends the same again for a request that is still in hand.
  if (kmsg_ && !turns.caller_of(in->unique)) turns.interrupt_again(r.header().unique);
}

void Server::lookup(const Request& r) {
  const auto* bytes = reinterpret_cast<const char*>(r.payload());
  files_of(r).lookup(r, std::string(bytes, ::strnlen(bytes, r.payload_size())));
}

void Server::getattr(const Request& r) { files_of(r).attributes(r); }

void Server::setattr(const Request& r) {
  const auto* in = r.arg<fuse_setattr_in>();
  // open(O_TRUNC) on a proc file changes nothing and succeeds for who may write; nothing else is
  // ours to change.
  if ((in->valid & ~uint32_t{FATTR_SIZE | FATTR_FH | FATTR_LOCKOWNER}) != 0) {
    return fail(r, EPERM);
  }
  if (r.header().uid != 0) return fail(r, EACCES);
  files_of(r).truncate(r);
}

void Server::access(const Request& r) { files_of(r).access(r); }

void Server::opendir(const Request& r) { files_of(r).opendir(r); }

void Server::readdir(const Request& r) { files_of(r).readdir(r); }

void Server::readlink(const Request& r) { files_of(r).readlink(r); }

void Server::open(const Request& r) { files_of(r).open(r); }

void Server::read(const Request& r) {
  const auto* in = r.arg<fuse_read_in>();
  // Reads without a lock owner fill the page cache (sendfile, splice, mmap). What one caller sees
  // of a caller-identified node must not be there for the next one; sendfile(2) says EINVAL for
  // files that cannot, and its users fall back to read(2).
  const bool cached = (in->read_flags & FUSE_READ_LOCKOWNER) == 0;
  if (cached && NodeId(r.header().nodeid).container().none()) return fail(r, EINVAL);
  files_of(r).read(r);
}

void Server::write(const Request& r) {
  const auto* in = r.arg<fuse_write_in>();
  if (in->size > r.payload_size() - sizeof(*in)) return fail(r, EINVAL);
  files_of(r).write(r);
}

void Server::poll(const Request& r) {
  // A file without a poll method, and every pressure file whatever else it says (fs/select.c).
  constexpr uint32_t kDefaultPollMask = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
  // The kernel remembers, and says of every file what it says of one without a poll method. Not
  // while triggers are here that an earlier version has taken: they would be told no more.
  if (!serving_.options.polls && serving_.triggers.size() == 0) return unsupported(r);
  fuse_poll_out out{};
  out.revents = kDefaultPollMask | files_of(r).poll_events(r);
  reply().value(r.header().unique, out);
}

void Server::release(const Request& r) { files_of(r).release(r); }

size_t Server::adopt_open_files() {
  const size_t adopted =
      serving_.open_files.adopt([this](NodeId node, ContainerId id) -> std::shared_ptr<OpenFile> {
        const View* view = serving_.tree.file(node.index());
        if (view == nullptr && !node.mirrored()) return nullptr;
        if (id.none()) return std::make_shared<OpenFile>(node, view, nullptr);
        auto container = serving_.registry.by_id(id);
        // A container that ended meanwhile keeps what its readers hold, and can give nothing new.
        return std::make_shared<OpenFile>(
            node, view, container ? container.value() : serving_.registry.ended(id));
      });
  serving_.triggers.adopt([this](uint64_t handle) { return serving_.open_files.adopted(handle); });
  if (kmsg_) kmsg_->adopt();
  return adopted;
}

void Server::hand_over_open_files() {
  serving_.open_files.hand_over();
  if (kmsg_) kmsg_->hand_over((serving_.state.connection().flags & kFuseHasResend) != 0);
}

}  // namespace vprocfs
