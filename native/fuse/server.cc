#include "fuse/server.h"

#include <array>
#include <cerrno>
#include <type_traits>
#include <utility>

#include "base/priority.h"
#include "fuse/init.h"

namespace vprocfs {

Server::Server(const Reply& reply, Registry& registry, HostSource& host, StateFile& state,
               Tree tree, const ServerOptions& options)
    : parts_(reply, registry, host, state, std::move(tree), options),
      files_(parts_, state.connection().tick != 0) {}

Result<bool> Server::start_helpers() {
  auto started = parts_.notifier.start();
  if (started) started = parts_.turns.start();
  if (started) started = parts_.triggers.start();
  if (started) files_.start();
  return started;
}

void Server::close_notices(Notifier::Deadline by, bool to_next) {
  if (to_next) parts_.answers.leave_unsettled();
  parts_.notifier.close(by);
}

void Server::stop_turns() {
  stop_rest();
  files_.stop();
  parts_.turns.stop();
}

void Server::stop_helpers() {
  parts_.triggers.stop();
  parts_.notifier.stop();
}

void Server::reinforce() {
  parts_.notifier.reinforce();
  parts_.turns.reinforce();
}

void Server::handle(const Request& received) {
  const auto payer = payer_of(received);
  CpuLaps& laps = *received.laps();
  if (!payer) {
    laps.skip();
    parts_.answers.give(received.info(), dispatch(received));
    return laps.skip(received.taken_ns());
  }
  const Request r = received.paid_by(payer);
  Tenant& tenant = payer->tenant();
  tenant.begin_lap(laps, received.taken_ns());
  const auto work = [this, payer](const Request& request) { return dispatch_for(request, payer); };
  Turns& turns = parts_.turns;
  const Deferral deferral = tenant.may_be_over() ? deferral_of(r) : Deferral::kNone;
  switch (deferral) {
    case Deferral::kNone:
      parts_.answers.give(r.info(), work(r));
      break;
    case Deferral::kShort:
      parts_.answers.give(r.info(), turns.on_spare_thread(r, payer, work));
      break;
    case Deferral::kLong:
      parts_.answers.give(r.info(), turns.in_budget(r, payer, work));
      break;
  }
  tenant.charge_lap(laps);
}

ServerParts::ContainerPtr Server::payer_of(const Request& r) const {
  if (parts_.options.cpu_us_per_second == 0) return nullptr;
  const uint32_t opcode = r.header().opcode;
  const auto* interrupt = r.arg<fuse_interrupt_in>();
  if (opcode == FUSE_INTERRUPT && interrupt != nullptr) {
    return parts_.turns.container_of(interrupt->unique);
  }
  if (auto known = parts_.registry.known(NodeId(r.header().nodeid).container())) return known;
  // Not while it may be within an execve(2): its namespaces cannot be read until we have answered.
  const Waiter waiter = operation_of(opcode).waiter;
  if (waiter != Waiter::kCaller && waiter != Waiter::kLock) return nullptr;
  return parts_.registry.by_process(static_cast<pid_t>(r.header().pid)).value_or(nullptr);
}

Server::Deferral Server::deferral_of(const Request& r) {
  const Waiter waiter = operation_of(r.header().opcode).waiter;
  if (waiter == Waiter::kCaller) return Deferral::kLong;
  if (waiter != Waiter::kLock) return Deferral::kNone;
  // Directories of no container are everybody's.
  return NodeId(r.header().nodeid).container().none() ? Deferral::kShort : Deferral::kLong;
}

Answer Server::dispatch_for(const Request& r, const ServerParts::ContainerPtr& payer) {
  const ContainerId id = NodeId(r.header().nodeid).container();
  const bool is_known = id.none() || (payer->id() == id && !payer->dead());
  const Waiter waiter = operation_of(r.header().opcode).waiter;
  if (is_known || (waiter != Waiter::kCaller && waiter != Waiter::kLock)) return dispatch(r);
  // What is found may be another tenant's, which must not be served in this one's turn.
  return parts_.turns.at_gate(
      r, payer, [this](const Request& request) { return dispatch(request.on_shared_thread()); });
}

template <auto kHandler>
Answer Server::call(Server& server, const Request& r) {
  if constexpr (std::is_invocable_v<decltype(kHandler), Files&, const Request&>) {
    return (server.files_of(r).*kHandler)(r);
  } else {
    return (server.*kHandler)(r);
  }
}

Answer Server::dispatch(const Request& r) {
  using Handler = Answer (*)(Server&, const Request&);
  static constexpr auto kHandlers = [] {
    std::array<Handler, kOpcodes> handlers{};
#define VPROCFS_OPERATION(NAME, argument, measured, waiter, handler) \
  handlers[FUSE_##NAME] = &Server::call<&handler>;
#include "fuse/operations.def"
#undef VPROCFS_OPERATION
    return handlers;
  }();
  const uint32_t opcode = r.header().opcode;
  Counters& counters = parts_.answers.counters;
  if (opcode < kOpcodes) counters.requests[opcode].fetch_add(1, std::memory_order_relaxed);
  if (r.resent()) counters.resent.fetch_add(1, std::memory_order_relaxed);
  const OperationRow& row = operation_of(opcode);
  if (row.name == nullptr) return unsupported(r);
  if (r.payload_size() < row.least_bytes) {
    return row.waiter != Waiter::kNobody ? Answer::error(EINVAL) : Answer::none();
  }
  return kHandlers[opcode](*this, r);
}

Answer Server::statfs(const Request&) {
  fuse_statfs_out out{};
  out.st.bsize = 4096;
  out.st.frsize = 4096;
  out.st.namelen = 255;
  return Answer::of(out);
}

Answer Server::refuse_removal(const Request& r) {
  // The directory forbids others to write before proc says that nobody can.
  return Answer::error(r.header().uid == 0 ? EPERM : EACCES);
}

Answer Server::init(const Request& r) {
  fuse_init_out out{};
  ConnectionState negotiated;
  const InitAnswer answer =
      negotiate(r.payload(), r.payload_size(), {parts_.options.tick, kernel_limits_requests()}, out,
                negotiated);
  if (answer == InitAnswer::kRefused) return Answer::error(EPROTO);
  if (answer == InitAnswer::kAgreed) {
    parts_.state.set_connection(negotiated);
    files_.set_tick(negotiated.tick != 0);
  }
  return Answer::of(out);
}

Answer Server::interrupt(const Request& r) {
  const auto* in = r.arg<fuse_interrupt_in>();
  if (files_.interrupt(in->unique)) return Answer::none();
  Turns& turns = parts_.turns;
  const auto caller = turns.caller_of(in->unique);
  const bool reads_log =
      caller && caller->opcode == FUSE_READ && files_.has_waits(NodeId(caller->node));
  if (caller && !reads_log) {
    turns.interrupt(in->unique);
  } else if (!reads_log || !turns.answer_interrupted(in->unique)) {
    // A reader of a log ends with any signal. While somebody works on its request, or it is on the
    // way between two places, it is not answered: it may be about to wait for a record, and would
    // then do so for nobody. The kernel sends the same again for a request that is still in hand.
    turns.interrupt_again(r.header().unique);
  }
  return Answer::none();
}

Answer Server::read(const Request& r) {
  const auto* in = r.arg<fuse_read_in>();
  // Reads without a lock owner fill the page cache (sendfile, splice, mmap). What one caller sees
  // of a caller-identified node must not be there for the next one; sendfile(2) says EINVAL for
  // files that cannot, and its users fall back to read(2).
  const bool cached = (in->read_flags & FUSE_READ_LOCKOWNER) == 0;
  if (cached && NodeId(r.header().nodeid).container().none()) return Answer::error(EINVAL);
  return files_of(r).read(r);
}

Answer Server::write(const Request& r) {
  const auto* in = r.arg<fuse_write_in>();
  if (in->size > r.payload_size() - sizeof(*in)) return Answer::error(EINVAL);
  return files_of(r).write(r);
}

void Server::adopt_open_files() {
  const auto is_known = [this](NodeId node) {
    return node.mirrored() || parts_.tree.file(node.index()) != nullptr;
  };
  parts_.open_files.adopt(is_known, [this](NodeId node, ContainerId id) {
    // A container that ended meanwhile keeps what its readers hold, and can give nothing new.
    return std::make_shared<OpenFile>(node, parts_.tree.file(node.index()),
                                      id.none() ? nullptr : inherited_.of(id));
  });
  parts_.triggers.adopt(parts_.open_files);
  files_.adopt(inherited_);
}

void Server::adopt_rest() {
  const auto work = [this] {
    const auto is_found = [this](ContainerId id) {
      return !stopped_ && inherited_.find(id, parts_.registry.attempts());
    };
    parts_.triggers.adopt_rest(is_found);
    files_.adopt_rest(is_found);
    parts_.open_files.adopt_rest(is_found);
    inherited_.forget();
  };
  const auto started = rest_.start([work] {
    // No reader waits for this: whoever asks for a file takes it over himself.
    go_along();
    work();
  });
  if (!started) work();
}

void Server::stop_rest() {
  stopped_ = true;
  rest_.join();
}

void Server::hand_over_open_files() {
  parts_.open_files.hand_over();
  files_.hand_over();
}

}  // namespace vprocfs
