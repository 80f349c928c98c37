#include "testing/klog.h"

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/words.h"
#include "klog/crashes.h"
#include "klog/log_clock.h"
#include "klog/printers.h"
#include "klog/record.h"
#include "klog/sorter.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

constexpr uint64_t kLaterUs = 60'000'000;

/// A container whose processes, users and paths a test has made up.
class MadeUp : public LineTranslator {
 public:
  std::map<pid_t, pid_t> processes;
  uint64_t first_user = 0;
  std::string memory, pids;

  std::optional<pid_t> pid(pid_t host) override {
    const auto it = processes.find(host);
    return it == processes.end() ? std::nullopt : std::optional(it->second);
  }
  uint64_t user(uint64_t host) override { return host - first_user; }
  std::string memory_path(const std::string& host) override { return path_below(host, memory); }
  std::string pids_path(const std::string& host) override { return path_below(host, pids); }
};

std::vector<std::string> texts(ValueReader& reader, Napi::Value value) {
  std::vector<std::string> out;
  reader.each(value, "records",
              [&](Napi::Value one) { out.push_back(reader.text(one, "record")); });
  return out;
}

std::vector<pid_t> tasks(ValueReader& reader, Napi::Value value) {
  std::vector<pid_t> out;
  reader.each(value, "tasks", [&](Napi::Value one) {
    out.push_back(static_cast<pid_t>(reader.integer(one, "task", INT32_MAX)));
  });
  return out;
}

Napi::Value to_js(const ValueMaker& maker, const LogGroup& group, MadeUp& container) {
  Napi::Object out = maker.object();
  out.Set("kind", to_text(group.kind));
  out.Set("memoryPath", maker.text(group.memory_path));
  out.Set("pidsPath", maker.text(group.pids_path));
  out.Set("pid", maker.integer(static_cast<uint64_t>(group.pid)));
  out.Set("limitPath", maker.text(group.limit_path));
  out.Set("first", maker.u64(group.first()));
  out.Set("killed", maker.text(group.kill ? group.kill->task : ""));
  const bool sees_limit = !group.limit_path.empty() && is_below(group.limit_path, container.memory);
  std::vector<std::string> lines;
  for (const LogLine& line : group.lines) {
    if (line.of_limit && !sees_limit) continue;
    if (auto text = translate(line, container)) lines.push_back(escape_record(*text));
  }
  out.Set("lines", maker.list(lines, [&](const std::string& text) { return maker.text(text); }));
  return out;
}

}  // namespace

Napi::Value read_log_record(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const std::string bytes = reader.text(info[0], "bytes");
  if (reader.failed()) return info.Env().Undefined();
  const auto record = parse_record(bytes);
  if (!record) return info.Env().Null();
  const ValueMaker maker(info.Env());
  Napi::Object out = maker.object();
  out.Set("level", maker.integer(record->level));
  out.Set("facility", maker.integer(record->facility));
  out.Set("sequence", maker.u64(record->sequence));
  out.Set("timeUs", maker.u64(record->time_us));
  out.Set("fragment", Napi::Boolean::New(info.Env(), record->fragment));
  out.Set("callerTask", maker.integer(static_cast<uint64_t>(record->caller_task)));
  out.Set("text", maker.text(record->text));
  out.Set("escaped", maker.text(escape_record(record->text)));
  return out;
}

Napi::Value sort_log(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const auto records = texts(reader, info[0]);
  const Napi::Object from = reader.object(info[1], "container");
  std::vector<pid_t> printers;
  if (!info[2].IsUndefined()) printers = tasks(reader, info[2]);
  MadeUp container;
  container.memory = reader.text(reader.member(from, "memory"), "memory");
  container.pids = reader.text(reader.member(from, "pids"), "pids");
  container.first_user = reader.integer(reader.member(from, "firstUser"), "firstUser", UINT32_MAX);
  reader.each(reader.member(from, "processes"), "processes", [&](Napi::Value one) {
    const Napi::Object pair = reader.object(one, "process");
    const auto host =
        static_cast<pid_t>(reader.integer(reader.member(pair, "host"), "host", INT32_MAX));
    container.processes[host] =
        static_cast<pid_t>(reader.integer(reader.member(pair, "own"), "own", INT32_MAX));
  });
  if (reader.failed()) return env.Undefined();
  LogSorter sorter;
  for (size_t i = 0; i < records.size(); ++i) {
    auto record = parse_record(records[i]);
    if (!record) continue;
    if (i < printers.size()) record->printer = Printer{printers[i], record->time_us, 0};
    sorter.take(*record, record->time_us);
  }
  sorter.idle(UINT64_MAX - kLaterUs);
  const ValueMaker maker(env);
  Napi::Array out = Napi::Array::New(env);
  while (const auto group = sorter.next()) out.Set(out.Length(), to_js(maker, *group, container));
  return out;
}

Napi::Value log_clock(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  LogClock clock;
  reader.each(info[0], "reads", [&](Napi::Value one) {
    const Napi::Object read = reader.object(one, "read");
    clock.observe(reader.u64(read, "record"), reader.u64(read, "monotonic"),
                  reader.u64(read, "behind"));
  });
  const uint64_t record = reader.u64(info[1], "record");
  const uint64_t monotonic = reader.u64(info[2], "monotonic");
  if (reader.failed()) return info.Env().Undefined();
  return ValueMaker(info.Env()).u64(clock.logged_by(record, monotonic));
}

Napi::Value who_crashed(const Napi::CallbackInfo& info) {
  constexpr pid_t kPid = 7;
  ValueReader reader(info.Env());
  const auto holder = [&](Napi::Object from, const char* name) -> std::optional<KnownProcess> {
    const Napi::Value value = reader.member(from, name);
    if (reader.failed() || value.IsUndefined()) return std::nullopt;
    const Napi::Object given = reader.object(value, name);
    KnownProcess out;
    out.numbers = {kPid, 1};
    out.namespaces = {1, 2};
    out.start_us = reader.u64(given, "start");
    out.end_us = reader.u64(given, "end");
    out.is_killed = reader.member(given, "killed").ToBoolean();
    return out;
  };
  const auto holders = [&](Napi::Object from) {
    return PidHolders{holder(from, "living"), holder(from, "ended")};
  };
  Crashes crashes;
  reader.each(info[0], "crashes", [&](Napi::Value one) {
    const Napi::Object crash = reader.object(one, "crash");
    const PidHolders found = holders(crash);
    crashes.add(kPid, reader.u64(crash, "at"), found);
  });
  const Napi::Object at = reader.object(info[1], "moment");
  const LogMoment moment{reader.u64(at, "at"), reader.u64(at, "slack")};
  const PidHolders now = holders(reader.object(info[2], "holders"));
  if (reader.failed()) return info.Env().Undefined();
  const auto found = crashes.find(kPid, moment, now, moment.at_us);
  return found ? ValueMaker(info.Env()).u64(found->start_us) : info.Env().Null();
}

Napi::Value who_printed(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  PrintedTexts printed;
  reader.each(info[0], "samples", [&](Napi::Value one) {
    if (!one.IsBuffer()) return reader.wrong("sample", "a buffer");
    const auto bytes = one.As<Napi::Buffer<char>>();
    TraceHit hit;
    if (parse_trace_hit({bytes.Data(), bytes.Length()}, hit)) printed.add(hit);
  });
  printed.note_loss(reader.u64(info[2], "lost"));
  const ValueMaker maker(info.Env());
  Napi::Array out = Napi::Array::New(info.Env());
  reader.each(info[1], "records", [&](Napi::Value one) {
    const Napi::Object asked = reader.object(one, "asked");
    const auto record = parse_record(reader.text(reader.member(asked, "record"), "record"));
    const uint64_t logged = reader.u64(asked, "logged");
    std::vector<pid_t> faulted;
    if (asked.Has("faulted")) faulted = tasks(reader, reader.member(asked, "faulted"));
    if (reader.failed() || !record) return;
    const auto found = printed.take(*record, logged, faulted);
    Napi::Value told = info.Env().Null();
    if (found) told = maker.integer(static_cast<uint64_t>(found->task));
    out.Set(out.Length(), told);
  });
  return reader.failed() ? info.Env().Undefined() : out;
}

Napi::Value time_log(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const auto records = texts(reader, info[0]);
  if (reader.failed()) return info.Env().Undefined();
  MadeUp container;
  container.memory = "/";
  const auto begun = std::chrono::steady_clock::now();
  LogSorter sorter;
  size_t bytes = 0;
  for (const std::string& text : records) {
    const auto record = parse_record(text);
    if (!record) continue;
    sorter.take(*record, record->time_us);
    while (const auto group = sorter.next()) {
      for (const LogLine& line : group->lines) bytes += translate(line, container)->size();
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  return Napi::Number::New(info.Env(), took.count() + static_cast<double>(bytes) * 0);
}

}  // namespace vprocfs
