#include "fuse/server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "fuse/init.h"

namespace vprocfs {
namespace {

/// How soon, and how often in the end, it is looked whether an interrupted caller was killed.
constexpr uint64_t kFirstLookUs = 50'000, kLastLookUs = 1'000'000;

/// Whether /proc/<tid>/status tells of a SIGKILL that waits for its thread; every signal that ends
/// a process shows as one.
bool killed(const std::string& status) {
  constexpr std::string_view kKey = "\nSigPnd:\t";
  const size_t at = status.find(kKey);
  if (at == std::string::npos) return false;
  const uint64_t pending = std::strtoull(status.c_str() + at + kKey.size(), nullptr, 16);
  return (pending >> (SIGKILL - 1) & 1) != 0;
}

}  // namespace

/// A request that waits for its container's turn.
struct Server::Waiting : Deferred {
  Waiting(Server& s, const Request& r, ContainerPtr c, Work w)
      : server(s),
        bytes(r.bytes(), r.bytes() + r.size()),
        taken_ns(r.taken_ns()),
        container(std::move(c)),
        work(std::move(w)) {
    container->tenant().stake().note(Resource::kWaiting, 1);
  }
  ~Waiting() override { container->tenant().stake().give(Resource::kWaiting); }
  Request request() const {
    const Request r(bytes.data(), bytes.size());
    r.set_taken(taken_ns);
    return r;
  }
  Holder holder() const override { return server.holder_of(request()); }
  /// A tenant's gate is that of all connections: whoever leaves it may be of another one.
  Server& server;
  std::vector<uint8_t> bytes;
  uint64_t taken_ns;
  ContainerPtr container;
  Work work;
};

Server::Server(const Reply& reply, Registry& registry, HostSource& host, StateFile& state,
               Tree tree, const ServerOptions& options)
    : reply_(reply),
      registry_(registry),
      host_(host),
      state_(state),
      options_(options),
      tree_(std::move(tree)),
      mirror_(host),
      open_files_(state),
      triggers_(reply, state, notifier_),
      kmsg_(make_kmsg()),
      tick_(state.connection().tick != 0) {}

std::unique_ptr<Kmsg> Server::make_kmsg() {
  if (options_.kernel_logs.logs == nullptr) return nullptr;
  return std::make_unique<Kmsg>(Kmsg::Uses{
      reply_,
      registry_,
      state_,
      options_.kernel_logs,
      [this](const Request& r, int errno_value) { fail(r, errno_value); },
      [this](const Request& r, const Error& error) { fail(r, error); },
      [this](const ContainerPtr& container) { return full(container); },
      [this](const Request& r, const ContainerPtr& container, const Work& work) {
        in_turn(r, container, work);
      },
      [this](NodeId node, const View& view, uint64_t size) {
        return attributes(node, &view, size);
      },
  });
}

bool Server::is_for_log(const Request& r) {
  const View* view = kmsg_ ? tree_.file(NodeId(r.header().nodeid).index()) : nullptr;
  return view != nullptr && is_of_log(*view) && kmsg_->handle(r, *view);
}

Holder Server::holder_of(const Request& r) const {
  return {r.identity(), options_.connection, r.header().pid};
}

void Server::start_helpers() {
  notifier_.start();
  pacer_.start();
  triggers_.start();
  if (kmsg_) kmsg_->start();
}

void Server::stop_helpers() {
  if (kmsg_) kmsg_->stop();
  pacer_.stop();
  triggers_.stop();
  notifier_.stop();
}

void Server::fail(const Request& r, int errno_value) {
  counters_.errors.fetch_add(1, std::memory_order_relaxed);
  r.set_failure(errno_value);
  reply_.error(r.header().unique, errno_value);
}

void Server::fail(const Request& r, const Error& error) {
  // Not an error of ours: what cannot be had, as the kernel says it.
  if (error.code == EOPNOTSUPP) return fail(r, EOPNOTSUPP);
  // Its tenant has too much already, or all have.
  if (error.code == ENFILE || error.code == EMFILE) return fail(r, ENFILE);
  const bool gone = error.code == ESRCH || error.code == ENOENT;
  if (!gone) counters_.source_errors.fetch_add(1, std::memory_order_relaxed);
  fail(r, gone ? ESRCH : EIO);
}

void Server::fail_lookup(const Request& r, const Error& error) {
  fail(r, error.code == ENFILE || error.code == EMFILE ? ENFILE : ENOENT);
}

void Server::handle(const Request& r) {
  r.set_taken(monotonic_ns());
  dispatch(r);
  measure(r);
}

void Server::measure(const Request& r) {
  if (r.parked()) return;
  const NodeIndex index = NodeId(r.header().nodeid).index();
  const bool file = index >= kFirstFileIndex && index < kFirstDirIndex;
  measures_.add(r.header().opcode, static_cast<uint16_t>(file ? index - kFirstFileIndex : 0),
                outcome_of(r.failure()), monotonic_ns() - r.taken_ns());
}

size_t Server::waiting() const {
  const std::lock_guard lock(waiting_mutex_);
  return waiting_.size();
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
  if (opcode < kOpcodes) counters_.requests[opcode].fetch_add(1, std::memory_order_relaxed);
  if (r.resent()) counters_.resent.fetch_add(1, std::memory_order_relaxed);
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
void Server::unsupported(const Request& r) { reply_.error(r.header().unique, ENOSYS); }

void Server::statfs(const Request& r) {
  fuse_statfs_out out{};
  out.st.bsize = 4096;
  out.st.frsize = 4096;
  out.st.namelen = 255;
  reply_.value(r.header().unique, out);
}

/// Ids are derived: there is nothing to forget.
void Server::ignore(const Request&) {}

void Server::acknowledge(const Request& r) { reply_.ok(r.header().unique); }

void Server::seek(const Request& r) {
  // The kernel would remember ENOSYS, and ask no more where readers of logs seek.
  if (kmsg_) return fail(r, EINVAL);
  unsupported(r);
}

void Server::refuse_ioctl(const Request& r) { fail(r, ENOTTY); }

/// As of a file without an fsync method.
void Server::refuse_sync(const Request& r) { fail(r, EINVAL); }

void Server::refuse_creation(const Request& r) { fail(r, in_sysfs(r) ? EACCES : ENOENT); }

void Server::refuse_name(const Request& r) {
  // proc looks a new name up and does not find it. sysfs has no such methods (fs/namei.c).
  if (!in_sysfs(r)) return fail(r, ENOENT);
  fail(r, r.header().uid == 0 ? EPERM : EACCES);
}

void Server::refuse_removal(const Request& r) {
  // The directory forbids others to write before proc says that nobody can.
  fail(r, r.header().uid == 0 ? EPERM : EACCES);
}

void Server::init(const Request& r) {
  fuse_init_out out{};
  ConnectionState agreed;
  const InitAnswer answer = negotiate(r.payload(), r.payload_size(), options_.tick, out, agreed);
  if (answer == InitAnswer::kRefused) return fail(r, EPROTO);
  if (answer == InitAnswer::kAgreed) {
    state_.set_connection(agreed);
    tick_ = agreed.tick != 0;
  }
  reply_.value(r.header().unique, out);
}

Result<Server::ContainerPtr> Server::container_of(const Request& r, NodeId node) {
  if (!node.container().none()) return registry_.by_id(node.container());
  return registry_.by_process(static_cast<pid_t>(r.header().pid));
}

std::optional<Clock> Server::clock_of(const Request& r, const View& view,
                                      const ContainerPtr& container) {
  // The counters of proc/stat are the container's to everybody.
  constexpr uint32_t kCounters = kNeedHostStat | kNeedHostSchedstat;
  const bool tells_age = (view.needs & kNeedClock) != 0 && (view.needs & kCounters) == 0;
  if (!container || !tells_age) return std::nullopt;
  const Clock clock = registry_.clock_of(*container, static_cast<pid_t>(r.header().pid));
  return container->is_first(clock) ? std::nullopt : std::optional<Clock>(clock);
}

Result<std::string> Server::render(const View& view, const ContainerPtr& container,
                                   const std::optional<Clock>& clock) {
  if (container && clock) {
    counters_.renders.fetch_add(1, std::memory_order_relaxed);
    return container->render_for(view, boottime_us(), *clock);
  }
  if (container && !tick_) {
    bool made = false;
    auto text = container->render_shared(view, boottime_us(), options_.tick_us, made);
    (made ? counters_.renders : counters_.shared).fetch_add(1, std::memory_order_relaxed);
    return text;
  }
  counters_.renders.fetch_add(1, std::memory_order_relaxed);
  if (!container) return host_.raw(std::string(view.path));
  return container->render(view, boottime_us());
}

void Server::wait_for_turn(const Request& r, const ContainerPtr& container) {
  counters_.deferred.fetch_add(1, std::memory_order_relaxed);
  r.park();
  const std::lock_guard lock(waiting_mutex_);
  Line& line = waiting_[r.header().unique];
  line.container = container;
  line.pid = r.header().pid;
  ++line.copies;
}

bool Server::stop_waiting(const Request& r) {
  const std::lock_guard lock(waiting_mutex_);
  const auto it = waiting_.find(r.header().unique);
  if (it == waiting_.end()) return false;
  if (--it->second.copies == 0) waiting_.erase(it);
  return true;
}

bool Server::may_wait(const Request& r, const ContainerPtr& container) {
  Stake& stake = container->tenant().stake();
  if (!stake.spent(Resource::kWaiting)) return true;
  stake.refuse(Resource::kWaiting);
  fail(r, ENOMEM);
  return false;
}

void Server::in_turn(const Request& r, const ContainerPtr& container, const Work& work) {
  if (!container) return work(r);
  container->requests.fetch_add(1, std::memory_order_relaxed);
  const uint64_t now = boottime_us();
  const uint64_t wait_us = container->tenant().renders().take(now);
  if (wait_us == 0) return pass_gate(r, container, work);
  if (!may_wait(r, container)) return;
  counters_.paced.fetch_add(1, std::memory_order_relaxed);
  wait_for_turn(r, container);
  auto waiting = std::make_shared<Waiting>(*this, r, container, work);
  pacer_.post(now + wait_us, [this, waiting, container] {
    // An INTERRUPT may have answered it meanwhile.
    const Request request = waiting->request();
    if (!stop_waiting(request)) return;
    pass_gate(request, container, waiting->work);
    measure(request);
  });
}

void Server::pass_gate(const Request& r, const ContainerPtr& container, const Work& work) {
  Gate& gate = container->tenant().gate();
  const uint64_t line = container->id().packed();
  const bool mine = gate.enter(holder_of(r), line, [&]() -> std::unique_ptr<Deferred> {
    if (!may_wait(r, container)) return nullptr;
    wait_for_turn(r, container);
    return std::make_unique<Waiting>(*this, r, container, work);
  });
  if (!mine) return;
  work(r);
  while (const std::unique_ptr<Deferred> next = gate.leave()) {
    const auto& waiting = static_cast<const Waiting&>(*next);
    waiting.server.take_turn(waiting);
  }
}

void Server::take_turn(const Waiting& waiting) {
  const Request request = waiting.request();
  if (!stop_waiting(request)) return;
  waiting.work(request);
  measure(request);
}

void Server::interrupt(const Request& r) {
  const auto* in = r.arg<fuse_interrupt_in>();
  if (kmsg_ && kmsg_->interrupt(in->unique)) return;
  release_killed(in->unique, kFirstLookUs, true);
  if (kmsg_ && !caller_of(in->unique)) interrupt_again(r);
}

void Server::interrupt_again(const Request& r) {
  // A reader of a log ends with any signal, and another thread may be about to have it wait. The
  // kernel sends the same again for a request that is still in hand.
  pacer_.post_unless_stopping(boottime_us() + kFirstLookUs,
                              [this, unique = r.header().unique] { reply_.error(unique, EAGAIN); });
}

void Server::release_killed(uint64_t unique, uint64_t again_us, bool was_found) {
  // Its turn may be far off, its source may block for long, and until it is answered the thread
  // cannot end. Signals that do not kill must not be seen, as they are not in proc.
  const std::optional<uint32_t> pid = caller_of(unique);
  if (pid) {
    const auto status = host_.raw("proc/" + std::to_string(*pid) + "/status");
    if (status && killed(status.value())) return answer_interrupted(unique);
  }
  // Between two places it is in neither for a moment: only one missed twice has been answered.
  if (!pid && !was_found) return;
  pacer_.post_unless_stopping(boottime_us() + again_us,
                              [this, unique, again_us, found = pid.has_value()] {
                                release_killed(unique, std::min(2 * again_us, kLastLookUs), found);
                              });
}

std::optional<uint32_t> Server::caller_of(uint64_t unique) const {
  {
    const std::lock_guard lock(waiting_mutex_);
    const auto it = waiting_.find(unique);
    if (it != waiting_.end()) return it->second.pid;
  }
  for (const auto& tenant : registry_.tenants()) {
    const Holder holder = tenant->gate().holder();
    const bool ours = holder.connection == options_.connection;
    if (ours && holder.request == (unique & ~kFuseUniqueResend)) return holder.pid;
  }
  return std::nullopt;
}

void Server::answer_interrupted(uint64_t unique) {
  ContainerPtr container;
  {
    const std::lock_guard lock(waiting_mutex_);
    const auto it = waiting_.find(unique);
    if (it != waiting_.end()) {
      container = it->second.container.lock();
      waiting_.erase(it);
    }
  }
  // Somebody works on it: the kernel takes the first answer.
  if (!container) {
    reply_.error(unique, EINTR);
    return;
  }
  const auto of_request = [&](const Deferred& deferred) {
    const auto& waiting = static_cast<const Waiting&>(deferred);
    return &waiting.server == this && waiting.request().header().unique == unique;
  };
  const auto left = container->tenant().gate().remove(container->id().packed(), of_request);
  if (left) {
    const Request request = static_cast<const Waiting&>(*left).request();
    request.set_failure(EINTR);
    measure(request);
  }
  counters_.errors.fetch_add(1, std::memory_order_relaxed);
  reply_.error(unique, EINTR);
}

size_t Server::adopt_open_files() {
  const size_t adopted =
      open_files_.adopt([this](NodeId node, ContainerId id) -> std::shared_ptr<OpenFile> {
        const View* view = tree_.file(node.index());
        if (view == nullptr && !node.mirrored()) return nullptr;
        if (id.none()) return std::make_shared<OpenFile>(node, view, nullptr);
        auto container = registry_.by_id(id);
        // A container that ended meanwhile keeps what its readers hold, and can give nothing new.
        return std::make_shared<OpenFile>(node, view,
                                          container ? container.value() : registry_.ended(id));
      });
  triggers_.adopt([this](uint64_t handle) { return open_files_.adopted(handle); });
  if (kmsg_) kmsg_->adopt();
  return adopted;
}

void Server::hand_over_open_files() {
  open_files_.hand_over();
  if (kmsg_) kmsg_->hand_over((state_.connection().flags & kFuseHasResend) != 0);
}

}  // namespace vprocfs
