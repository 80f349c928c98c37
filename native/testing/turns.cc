#include "fuse/turns.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "container/registry.h"
#include "fuse/notifier.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

/// Requests of containers, each of a tenant of its own. No kernel gets the answers.
class Requests {
 public:
  /// `waiting`: so many of a tenant may wait.
  /// `procfs_fd`: where their callers are looked at; -1: nowhere.
  explicit Requests(uint64_t waiting, int procfs_fd = -1)
      : resources_(limits_of(waiting)), host_(procfs_fd, -1, 0) {}

  Turns& turns() { return turns_; }
  Notifier& notifier() { return notifier_; }

  Turns::ContainerPtr make_container(const TenantRates& rates) {
    auto tenant = std::make_shared<Tenant>(ContainerId(), &resources_, rates);
    return std::make_shared<Container>(ContainerDescription{}, SharedServices{}, std::move(tenant));
  }

  /// The requests that were answered, in that order.
  std::vector<uint64_t> answered() const {
    std::vector<uint64_t> uniques;
    fuse_out_header header{};
    for (off_t at = 0; ::pread(kernel_.get(), &header, sizeof header, at) > 0; at += header.len) {
      uniques.push_back(header.unique);
    }
    return uniques;
  }

  /// Waits until so many had to wait, somewhere. False after 10 s.
  bool wait_deferred(uint64_t count) const {
    const uint64_t deadline_us = boottime_us() + 10'000'000;
    while (answers_.counters.deferred.load() < count) {
      if (boottime_us() > deadline_us) return false;
      std::this_thread::yield();
    }
    return true;
  }

  static fuse_in_header header(uint64_t unique) {
    fuse_in_header header{};
    header.unique = unique;
    return header;
  }
  static Request request(const fuse_in_header& header) {
    return {reinterpret_cast<const uint8_t*>(&header), sizeof header};
  }

 private:
  static ResourceLimits limits_of(uint64_t waiting) {
    ResourceLimits limits{};
    limits[static_cast<size_t>(Resource::kWaiting)] = {waiting, waiting, waiting};
    return limits;
  }

  SharedResources resources_;
  const CgroupMounts mounts_;
  const Resolver resolver_{mounts_, -1};
  Registry registry_{resolver_, SharedServices{}};
  HostSource host_;
  const Fd kernel_{::memfd_create("answers", MFD_CLOEXEC)};
  const Reply reply_{kernel_.get()};
  Notifier notifier_;
  Answers answers_{reply_, notifier_};
  Turns turns_{answers_, registry_, host_};
};

Answer ok(const Request&) { return Answer::ok(); }

/// (per second, refusals) -> how long the next request has to wait, µs, when so many were refused
/// in the turn of another one because too many wait already.
Number wait_after_refusals(uint32_t per_second, uint32_t refusals) {
  Requests requests(0);
  TenantRates rates;
  rates.renders = per_second;
  const auto container = requests.make_container(rates);
  const auto first = Requests::header(1);
  const auto refuse = [&](const Request& r) {
    for (uint32_t i = 0; i < refusals; ++i) {
      const auto next = Requests::header(2 + i);
      static_cast<void>(requests.turns().in_turn(Requests::request(next), container, ok));
    }
    return ok(r);
  };
  static_cast<void>(requests.turns().in_turn(Requests::request(first), container, refuse));
  return container->tenant().renders().take(boottime_us());
}

/// -> whether what is another tenant's is served on the thread that asks for it in the turn of one.
bool serves_in_others_turn() {
  // Outlives the threads of `requests`, one of which sets it.
  std::promise<std::thread::id> served;
  Requests requests(1);
  if (!requests.turns().start()) return true;
  const auto payer = requests.make_container({}), owner = requests.make_container({});
  const auto serve = [&](const Request& r) {
    served.set_value(std::this_thread::get_id());
    return ok(r);
  };
  const auto header = Requests::header(1);
  static_cast<void>(requests.turns().at_gate(
      Requests::request(header).paid_by(payer), payer, [&](const Request& r) {
        return requests.turns().in_turn(r.on_shared_thread(), owner, serve);
      }));
  return served.get_future().get() == std::this_thread::get_id();
}

/// (is aside, of another connection) -> whether a request that waits at the gate is served on the
/// thread that leaves it, which takes requests. Error: it did not get there.
Result<bool> serves_where_gate_is_left(bool is_aside, bool is_of_other) {
  // Outlives the threads of both, one of which sets it.
  std::promise<std::thread::id> served;
  Requests requests(2), others(2);
  auto started = requests.turns().start();
  if (started) started = others.turns().start();
  if (!started) return started.error();
  Requests& its = is_of_other ? others : requests;
  const auto container = requests.make_container({});
  const auto serve = [&](const Request& r) {
    served.set_value(std::this_thread::get_id());
    return ok(r);
  };
  const auto first = Requests::header(1), second = Requests::header(2);
  bool waits = false;
  const auto hold = [&](const Request& r) {
    const Request request = Requests::request(second);
    static_cast<void>(is_aside ? its.turns().in_turn_aside(request, container, serve)
                               : its.turns().in_turn(request, container, serve));
    // One that is aside waits for its thread first.
    waits = its.wait_deferred(is_aside ? 2 : 1);
    return ok(r);
  };
  static_cast<void>(requests.turns().in_turn(Requests::request(first), container, hold));
  // Each may have what is the other's in hand.
  for (Requests* each : {&requests, &others}) each->turns().stop();
  if (!waits) return Error{ETIMEDOUT, "gate"};
  return served.get_future().get() == std::this_thread::get_id();
}

/// -> the numbers of the answers, in their order, when in the turn of request 1 both were
/// interrupted, as readers of logs are: 2, which waits for its turn, and 1.
std::vector<Number> answers_to_interrupted() {
  Requests requests(1);
  Turns& turns = requests.turns();
  const auto container = requests.make_container({});
  const auto first = Requests::header(1), second = Requests::header(2);
  const auto interrupt = [&](const Request& r) {
    static_cast<void>(turns.in_turn(Requests::request(second), container, ok));
    for (const auto& header : {second, first}) turns.answer_interrupted(header.unique);
    return ok(r);
  };
  static_cast<void>(turns.in_turn(Requests::request(first), container, interrupt));
  const auto answered = requests.answered();
  return {answered.begin(), answered.end()};
}

/// (requests) -> how many of a tenant's requests still count as waiting when so many had to wait
/// for its budgets, and were answered because their callers were killed; and how long the next one
/// waits for its render, µs, of which there is one in a second.
std::vector<Number> waiting_after_kills(UpTo<1000> count) {
  Requests requests(1000);
  TenantRates rates;
  rates.renders = 1;
  const auto container = requests.make_container(rates);
  for (uint32_t unique = 2; unique < 2 + 2 * count; unique += 2) {
    const auto header = Requests::header(unique);
    static_cast<void>(requests.turns().in_turn(Requests::request(header), container, ok));
    requests.turns().answer_interrupted(unique);
  }
  Tenant& tenant = container->tenant();
  return {tenant.resources().used(Resource::kWaiting), tenant.renders().take(boottime_us())};
}

/// -> the numbers of the answers when in the turn of request 1 the worker leaves what waits, 2 for
/// the turn and 3 for a render; and how many still count as waiting.
Result<std::vector<Number>> answers_after_leaving() {
  Requests requests(2);
  Turns& turns = requests.turns();
  if (const auto started = turns.start(); !started) return started.error();
  TenantRates rates;
  rates.renders = 1;
  const auto container = requests.make_container(rates);
  const auto first = Requests::header(1), second = Requests::header(2), third = Requests::header(3);
  const auto leave = [&](const Request& r) {
    static_cast<void>(turns.at_gate(Requests::request(second), container, ok));
    static_cast<void>(turns.in_turn(Requests::request(third), container, ok));
    turns.leave();
    return ok(r);
  };
  static_cast<void>(turns.at_gate(Requests::request(first), container, leave));
  turns.stop();
  const auto answered = requests.answered();
  std::vector<Number> all(answered.begin(), answered.end());
  all.emplace_back(container->tenant().resources().used(Resource::kWaiting));
  return all;
}

/// (directory, pid, interrupts) -> how often it was looked whether the caller of a request was
/// killed, whose status lies in the directory, when its signals came in its turn.
Result<uint32_t> looks_in_turn(const std::string& procfs, uint32_t pid, uint32_t interrupts) {
  const Fd directory(::open(procfs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Fd opened(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string status = procfs + "/" + std::to_string(pid) + "/status";
  // Equal events that follow each other are one, so there is one between two openings.
  constexpr uint32_t kEvents = IN_OPEN | IN_CLOSE_NOWRITE;
  if (!directory || ::inotify_add_watch(opened.get(), status.c_str(), kEvents) < 0) {
    return Error{errno, status};
  }
  Requests requests(1, directory.get());
  if (const auto started = requests.turns().start(); !started) return started.error();
  auto header = Requests::header(1);
  header.pid = pid;
  uint32_t looks = 0;
  const auto interrupt = [&](const Request& r) {
    for (uint32_t i = 0; i < interrupts; ++i) requests.turns().interrupt(header.unique);
    inotify_event event{};
    while (::read(opened.get(), &event, sizeof event) > 0) looks += (event.mask & IN_OPEN) != 0;
    return ok(r);
  };
  static_cast<void>(
      requests.turns().in_turn(Requests::request(header), requests.make_container({}), interrupt));
  return looks;
}

/// (directory, pid) -> the numbers of the answers when a signal came for the caller of request 1,
/// whose status lies in the directory, while its answer waited for a notice.
Result<std::vector<Number>> answers_before_notice(const std::string& procfs, uint32_t pid) {
  const Fd directory(::open(procfs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return Error{errno, procfs};
  std::promise<void> page;
  const std::shared_future<void> released = page.get_future().share();
  Requests requests(1, directory.get());
  if (const auto started = requests.notifier().start(); !started) return started.error();
  Turns& turns = requests.turns();
  auto header = Requests::header(1);
  header.pid = pid;
  const auto answer = [&](const Request& r) {
    return ok(r).after_notice(1, [released] { released.wait(); });
  };
  static_cast<void>(turns.in_turn(Requests::request(header), requests.make_container({}), answer));
  // As the server does it.
  if (turns.caller_of(header.unique)) turns.interrupt(header.unique);
  const auto answered = requests.answered();
  page.set_value();
  requests.notifier().stop();
  if (turns.caller_of(header.unique)) return Error{EEXIST, "caller"};
  return std::vector<Number>(answered.begin(), answered.end());
}

/// (µs) -> after how many work was done that was due in so many, and then told to stop.
Number delay_at_stop(uint32_t due_us) {
  uint64_t done_us = 0;
  DelayedWork work(1);
  if (!work.start()) return 0;
  const uint64_t begun_us = boottime_us();
  work.post(begun_us + due_us, [&done_us](CpuLaps&) { done_us = boottime_us(); });
  work.stop();
  return done_us - begun_us;
}

}  // namespace

void add_turns(Napi::Object& exports) {
  add<wait_after_refusals>(exports, "waitAfterRefusals");
  add<serves_in_others_turn>(exports, "servesInOthersTurn");
  add<serves_where_gate_is_left>(exports, "servesWhereGateIsLeft");
  add<answers_to_interrupted>(exports, "answersToInterrupted");
  add<waiting_after_kills>(exports, "waitingAfterKills");
  add<answers_after_leaving>(exports, "answersAfterLeaving");
  add<looks_in_turn>(exports, "looksInTurn");
  add<answers_before_notice>(exports, "answersBeforeNotice");
  add<delay_at_stop>(exports, "delayAtStop");
}

}  // namespace vprocfs
