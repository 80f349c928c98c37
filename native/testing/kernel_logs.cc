#include "klog/logs.h"

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <set>
#include <utility>

#include "base/fd.h"
#include "klog/banner.h"
#include "klog/span.h"
#include "klog/syslog.h"
#include "state/state_file.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {

constexpr auto members(const OwnLine*) {
  using S = OwnLine;
  return std::tuple(member("host", &S::host_sequence), member("text", &S::text));
}

constexpr auto members(const KernelLogs::Unread*) {
  using S = KernelLogs::Unread;
  return std::tuple(number("records", &S::records), number("bytes", &S::bytes));
}

namespace {

/// `new KernelLogs(each, tenant, all)`: logs in a state file of their own.
class KernelLogsObject : public Wrapped<KernelLogsObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    using K = KernelLogsObject;
    return DefineClass(
        env, "KernelLogs",
        {method<&K::add>("add"), method<&K::add_while_looking>("addWhileLooking"),
         method<&K::read>("read"), method<&K::end>("end"), method<&K::forget_ended>("forgetEnded"),
         method<&K::take_over>("takeOver"), method<&K::figures>("figures"),
         method<&K::begin>("begin"), method<&K::marks>("marks"), method<&K::clear>("clear"),
         method<&K::set_console>("setConsole"), method<&K::unread>("unread"),
         method<&K::take>("take"), method<&K::again>("again"), method<&K::syslog>("syslog"),
         method<&K::give_back_text>("giveBack"), method<&K::listen>("listen"),
         method<&K::unlisten>("unlisten"), method<&K::set_mark>("setMark")});
  }

  explicit KernelLogsObject(const Napi::CallbackInfo& info) : Wrapped(info) {
    const auto bounds = arguments<uint32_t, uint32_t, uint32_t>(info);
    if (!bounds) return;
    std::tie(bounds_.each, bounds_.tenant, bounds_.all) = *bounds;
    auto memory = StateFile::make_memfd();
    if (memory) memory_ = std::move(memory.value());
    if (!memory || !take_over()) throw_error(info.Env(), {ENOMEM, "state file"});
  }

 private:
  /// Another worker goes on.
  bool take_over() {
    logs_.reset();
    state_.reset();
    std::string ignored;
    auto state = StateFile::open(memory_.get(), &ignored);
    if (!state || !ignored.empty()) return false;
    state_ = std::move(state.value());
    const auto is_there = [this](ContainerId id, const TenantIdentity&) {
      if (const auto once = std::exchange(while_looking_, nullptr)) once();
      return ended_.count(id) == 0;
    };
    logs_ = std::make_unique<KernelLogs>(*state_, is_there, bounds_);
    logs_->adopt();
    return true;
  }

  /// How many lines were added.
  Number add(ContainerId id, uint64_t tenant, uint64_t first, const std::vector<OwnLine>& lines) {
    return logs_->add(id, {tenant, 1}, first, lines, [] { return banner_lines({}); });
  }

  /// How many lines were added by a thread that came while begin() made room for the log `other`.
  Number add_while_looking(ContainerId other, ContainerId id, uint64_t tenant, uint64_t first,
                           const std::vector<OwnLine>& lines) {
    while_looking_ = [this, id, tenant, first, lines] {
      const auto add_lines = [=] { return add(id, tenant, first, lines); };
      added_ = std::async(std::launch::async, add_lines);
      // Only one that does not wait for us comes back before we go on.
      added_.wait_for(std::chrono::milliseconds(200));
    };
    begin(other, tenant);
    return added_.get();
  }

  /// { texts, sequences, first, next }; null: there is no log
  Napi::Value read(ContainerId id, uint64_t from, uint32_t max_records) {
    KernelLogs::Page page;
    if (!logs_->read(id, from, max_records, page)) return Env().Null();
    std::vector<std::string> texts;
    std::vector<Number> sequences;
    for (const auto& record : page.records) {
      texts.push_back(record.text);
      sequences.emplace_back(record.sequence);
    }
    return JsObject(Env())
        .set("texts", texts)
        .set("sequences", sequences)
        .set("first", Number(page.first))
        .set("next", Number(page.next));
  }

  /// These containers have ended.
  void end(const std::vector<ContainerId>& ids) { ended_.insert(ids.begin(), ids.end()); }

  void forget_ended() { logs_->forget_ended(); }

  Napi::Value figures() {
    return JsObject(Env())
        .set("size", Number(logs_->size()))
        .set("bytes", Number(logs_->bytes()))
        .set("refused", Number(logs_->refused()))
        .set("mark", logs_->mark());
  }

  /// Whether there is a log now.
  bool begin(ContainerId id, uint64_t tenant) {
    return logs_->begin(id, {tenant, 1}, [] { return banner_lines({}); });
  }

  /// { cleared, taken, takenBytes, consoleLevel, savedLevel }; null: there is no log
  Napi::Value marks(ContainerId id) {
    const auto marks = logs_->marks(id);
    if (!marks) return Env().Null();
    return JsObject(Env())
        .set("cleared", Number(marks->cleared))
        .set("taken", Number(marks->taken.sequence))
        .set("takenBytes", marks->taken.bytes)
        .set("consoleLevel", marks->console_level)
        .set("savedLevel", marks->saved_level);
  }

  /// Whether there is a log.
  bool clear(ContainerId id) {
    return logs_->change_marks(id, [](LogMarks& marks, uint64_t next) { marks.cleared = next; });
  }

  void set_console(ContainerId id, uint8_t level, uint8_t saved) {
    logs_->change_marks(id, [&](LogMarks& marks, uint64_t) {
      marks.console_level = level;
      marks.saved_level = saved;
    });
  }

  KernelLogs::Unread unread(ContainerId id) { return logs_->unread(id); }

  std::string take(ContainerId id, uint32_t max_bytes) {
    return logs_->take(id, max_bytes, [this](LogPosition from, LogPosition to) {
      from_ = from;
      to_ = to;
    });
  }

  /// What the last take() gave.
  std::string again(ContainerId id) { return logs_->again(id, from_, to_); }

  /// A value, -errno, "wait", or { text }. `again`: it is the call before, of a worker that died.
  Napi::Value syslog(ContainerId id, int32_t action, int32_t bytes, uint64_t buffer,
                     std::optional<bool> again) {
    const SyslogCall call{action, buffer, bytes};
    const SyslogAnswer answer = answer_syslog(*logs_, id, call);
    // What was taken for it is not there to be seen any more.
    if (!again) span_ = LogSpan{};
    if (answer.kind == SyslogAnswer::Kind::kWait && !again) return Napi::String::New(Env(), "wait");
    if (answer.kind == SyslogAnswer::Kind::kValue) {
      return Js<Number>::to(Env(), answer.error == 0 ? answer.value : -answer.error);
    }
    return JsObject(Env()).set("text", text_of_syslog(*logs_, id, call, span_));
  }

  /// What the last syslog() took.
  void give_back_text(ContainerId id) { give_back(*logs_, id, span_); }

  void listen() {
    token_ = logs_->listen([this](ContainerId id) { told_.push_back(id.packed()); });
  }

  /// Ids of the logs that were added to since listen().
  std::vector<uint64_t> unlisten() {
    logs_->unlisten(token_);
    return std::exchange(told_, {});
  }

  void set_mark(uint64_t mark) { logs_->set_mark(mark); }

  LogBounds bounds_;
  std::set<ContainerId> ended_;
  std::function<void()> while_looking_;  ///< called once
  std::future<Number> added_;            ///< by whoever came meanwhile
  Fd memory_;
  std::unique_ptr<StateFile> state_;
  std::unique_ptr<KernelLogs> logs_;
  LogPosition from_, to_;  ///< of the last take()
  LogSpan span_;           ///< of the last syslog()
  size_t token_ = 0;
  std::vector<uint64_t> told_;  ///< since listen()
};

}  // namespace

void add_kernel_logs(Napi::Object& exports) {
  exports.Set("KernelLogs", KernelLogsObject::define(exports.Env()));
  // (action, restricted) -> whether that action of syslog(2) is for holders of CAP_SYSLOG only
  add<needs_syslog_capability>(exports, "needsSyslogCapability");
}

}  // namespace vprocfs
