#include "testing/kernel_logs.h"

#include <string>
#include <utility>

#include "klog/banner.h"
#include "klog/syslog.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

int32_t int32(ValueReader& reader, Napi::Value value, const char* what) {
  if (value.IsNumber()) return value.As<Napi::Number>().Int32Value();
  reader.wrong(what, "a number");
  return 0;
}

}  // namespace

Napi::Function KernelLogsObject::define(Napi::Env env) {
  return DefineClass(env, "KernelLogs",
                     {InstanceMethod<&KernelLogsObject::add>("add"),
                      InstanceMethod<&KernelLogsObject::read>("read"),
                      InstanceMethod<&KernelLogsObject::end>("end"),
                      InstanceMethod<&KernelLogsObject::forget_ended>("forgetEnded"),
                      InstanceMethod<&KernelLogsObject::take_over>("takeOver"),
                      InstanceMethod<&KernelLogsObject::figures>("figures"),
                      InstanceMethod<&KernelLogsObject::begin>("begin"),
                      InstanceMethod<&KernelLogsObject::marks>("marks"),
                      InstanceMethod<&KernelLogsObject::clear>("clear"),
                      InstanceMethod<&KernelLogsObject::set_console>("setConsole"),
                      InstanceMethod<&KernelLogsObject::unread>("unread"),
                      InstanceMethod<&KernelLogsObject::take>("take"),
                      InstanceMethod<&KernelLogsObject::again>("again"),
                      InstanceMethod<&KernelLogsObject::syslog>("syslog"),
                      InstanceMethod<&KernelLogsObject::give_back_text>("giveBack"),
                      InstanceMethod<&KernelLogsObject::listen>("listen"),
                      InstanceMethod<&KernelLogsObject::unlisten>("unlisten"),
                      InstanceMethod<&KernelLogsObject::set_mark>("setMark")});
}

KernelLogsObject::KernelLogsObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<KernelLogsObject>(info) {
  ValueReader reader(info.Env());
  bounds_.each = reader.integer(info[0], "each", UINT32_MAX);
  bounds_.tenant = reader.integer(info[1], "tenant", UINT32_MAX);
  bounds_.all = reader.integer(info[2], "all", UINT32_MAX);
  if (reader.failed()) return;
  auto memory = StateFile::make_memfd();
  if (memory) memory_ = std::move(memory.value());
  if (!memory || !open()) reader.wrong("memory", "there");
}

bool KernelLogsObject::open() {
  logs_.reset();
  state_.reset();
  std::string ignored;
  auto state = StateFile::open(memory_.get(), &ignored);
  if (!state || !ignored.empty()) return false;
  state_ = std::move(state.value());
  logs_ = std::make_unique<KernelLogs>(
      *state_, [this](ContainerId id) { return ended_.count(id.packed()) == 0; }, bounds_);
  logs_->adopt();
  return true;
}

/// (id, tenant, first, [{ host, text }]) -> how many lines were added
Napi::Value KernelLogsObject::add(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  const auto tenant = ContainerId::from_packed(reader.u64(info[1], "tenant"));
  const uint64_t first = reader.u64(info[2], "first");
  std::vector<OwnLine> lines;
  reader.each(info[3], "lines", [&](Napi::Value one) {
    const Napi::Object line = reader.object(one, "line");
    OwnLine& own = lines.emplace_back();
    own.host_sequence = reader.u64(line, "host");
    own.text = reader.text(reader.member(line, "text"), "text");
  });
  if (reader.failed()) return info.Env().Undefined();
  const size_t added = logs_->add(id, tenant, first, lines, [] { return banner_lines({}); });
  return ValueMaker(info.Env()).integer(added);
}

/// (id, from, max_records) -> { texts, sequences, first, next }; null: there is no log
Napi::Value KernelLogsObject::read(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  const uint64_t from = reader.u64(info[1], "from");
  const uint32_t max_records = reader.integer(info[2], "max_records", UINT32_MAX);
  if (reader.failed()) return info.Env().Undefined();
  KernelLogs::Page page;
  if (!logs_->read(id, from, max_records, page)) return info.Env().Null();
  const ValueMaker maker(info.Env());
  Napi::Object out = maker.object();
  out.Set("texts", maker.list(page.records, [&](const auto& r) { return maker.text(r.text); }));
  out.Set("sequences",
          maker.list(page.records, [&](const auto& r) { return maker.integer(r.sequence); }));
  out.Set("first", maker.integer(page.first));
  out.Set("next", maker.integer(page.next));
  return out;
}

/// (ids): these containers have ended
Napi::Value KernelLogsObject::end(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  reader.each(info[0], "ids", [&](Napi::Value id) { ended_.insert(reader.u64(id, "id")); });
  return info.Env().Undefined();
}

Napi::Value KernelLogsObject::forget_ended(const Napi::CallbackInfo& info) {
  logs_->forget_ended();
  return info.Env().Undefined();
}

/// Another worker goes on.
Napi::Value KernelLogsObject::take_over(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), open());
}

Napi::Value KernelLogsObject::figures(const Napi::CallbackInfo& info) {
  const ValueMaker maker(info.Env());
  Napi::Object out = maker.object();
  out.Set("size", maker.integer(logs_->size()));
  out.Set("bytes", maker.integer(logs_->bytes()));
  out.Set("refused", maker.integer(logs_->refused()));
  out.Set("mark", maker.u64(logs_->mark()));
  return out;
}

/// (id, tenant) -> whether there is a log now
Napi::Value KernelLogsObject::begin(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  const auto tenant = ContainerId::from_packed(reader.u64(info[1], "tenant"));
  if (reader.failed()) return info.Env().Undefined();
  const bool there = logs_->begin(id, tenant, [] { return banner_lines({}); });
  return Napi::Boolean::New(info.Env(), there);
}

/// (id) -> { cleared, taken, takenBytes, consoleLevel, savedLevel }; null: there is no log
Napi::Value KernelLogsObject::marks(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  if (reader.failed()) return info.Env().Undefined();
  const auto marks = logs_->marks(id);
  if (!marks) return info.Env().Null();
  const ValueMaker maker(info.Env());
  Napi::Object out = maker.object();
  out.Set("cleared", maker.integer(marks->cleared));
  out.Set("taken", maker.integer(marks->taken.sequence));
  out.Set("takenBytes", maker.integer(marks->taken.bytes));
  out.Set("consoleLevel", maker.integer(marks->console_level));
  out.Set("savedLevel", maker.integer(marks->saved_level));
  return out;
}

/// (id) -> whether there is a log
Napi::Value KernelLogsObject::clear(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  if (reader.failed()) return info.Env().Undefined();
  const bool there =
      logs_->change_marks(id, [](LogMarks& marks, uint64_t next) { marks.cleared = next; });
  return Napi::Boolean::New(info.Env(), there);
}

/// (id, level, saved)
Napi::Value KernelLogsObject::set_console(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  const auto level = static_cast<uint8_t>(reader.integer(info[1], "level", UINT8_MAX));
  const auto saved = static_cast<uint8_t>(reader.integer(info[2], "saved", UINT8_MAX));
  if (reader.failed()) return info.Env().Undefined();
  logs_->change_marks(id, [&](LogMarks& marks, uint64_t) {
    marks.console_level = level;
    marks.saved_level = saved;
  });
  return info.Env().Undefined();
}

/// (id) -> { records, bytes }
Napi::Value KernelLogsObject::unread(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  if (reader.failed()) return info.Env().Undefined();
  const KernelLogs::Unread unread = logs_->unread(id);
  const ValueMaker maker(info.Env());
  Napi::Object out = maker.object();
  out.Set("records", maker.integer(unread.records));
  out.Set("bytes", maker.integer(unread.bytes));
  return out;
}

/// (id, max_bytes) -> text
Napi::Value KernelLogsObject::take(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  const uint32_t max_bytes = reader.integer(info[1], "max_bytes", UINT32_MAX);
  if (reader.failed()) return info.Env().Undefined();
  const std::string text = logs_->take(id, max_bytes, [this](LogPosition from, LogPosition to) {
    from_ = from;
    to_ = to;
  });
  return ValueMaker(info.Env()).text(text);
}

/// (id) -> what the last take() gave
Napi::Value KernelLogsObject::again(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  if (reader.failed()) return info.Env().Undefined();
  return ValueMaker(info.Env()).text(logs_->again(id, from_, to_));
}

/// (id, action, bytes, buffer, again) -> a value, -errno, "wait", or { text }. `again`: it is
/// the call before, of a worker that died.
Napi::Value KernelLogsObject::syslog(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  const int32_t action = int32(reader, info[1], "action");
  const int32_t bytes = int32(reader, info[2], "bytes");
  const uint64_t buffer = reader.u64(info[3], "buffer");
  if (reader.failed()) return env.Undefined();
  const SyslogCall call{action, buffer, bytes};
  const SyslogAnswer answer = answer_syslog(*logs_, id, call);
  const ValueMaker maker(env);
  // What was taken for it is not there to be seen any more.
  const bool again = info[4].ToBoolean();
  if (!again) span_ = LogSpan{};
  if (answer.kind == SyslogAnswer::Kind::kWait && !again) return maker.text("wait");
  if (answer.kind == SyslogAnswer::Kind::kValue) {
    return Napi::Number::New(env,
                             static_cast<double>(answer.error == 0 ? answer.value : -answer.error));
  }
  Napi::Object out = maker.object();
  out.Set("text", maker.text(text_of_syslog(*logs_, id, call, span_)));
  return out;
}

/// (id): what the last syslog() took
Napi::Value KernelLogsObject::give_back_text(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto id = ContainerId::from_packed(reader.u64(info[0], "id"));
  if (!reader.failed()) give_back(*logs_, id, span_);
  return info.Env().Undefined();
}

Napi::Value needs_capability(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const int32_t action = int32(reader, info[0], "action");
  if (reader.failed()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), needs_syslog_capability(action, info[1].ToBoolean()));
}

Napi::Value KernelLogsObject::listen(const Napi::CallbackInfo& info) {
  token_ = logs_->listen([this](ContainerId id) { told_.push_back(id.packed()); });
  return info.Env().Undefined();
}

/// () -> ids of the logs that were added to since listen()
Napi::Value KernelLogsObject::unlisten(const Napi::CallbackInfo& info) {
  logs_->unlisten(token_);
  const ValueMaker maker(info.Env());
  const Napi::Array ids = maker.list(told_, [&](uint64_t id) { return maker.u64(id); });
  told_.clear();
  return ids;
}

Napi::Value KernelLogsObject::set_mark(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const uint64_t mark = reader.u64(info[0], "mark");
  if (!reader.failed()) logs_->set_mark(mark);
  return info.Env().Undefined();
}

}  // namespace vprocfs
