#include <chrono>

#include "base/words.h"
#include "klog/crashes.h"
#include "klog/log_clock.h"
#include "klog/printers.h"
#include "klog/record.h"
#include "klog/sorter.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {

constexpr auto members(const KnownProcess*) {
  using S = KnownProcess;
  return std::tuple(member("start", &S::start_us), member("end", &S::end_us),
                    member("killed", &S::is_killed));
}

constexpr auto members(const PidHolders*) {
  using S = PidHolders;
  return std::tuple(member("living", &S::living), member("ended", &S::ended));
}

constexpr auto members(const LogMoment*) {
  using S = LogMoment;
  return std::tuple(member("at", &S::at_us), member("slack", &S::slack_us),
                    member("least", &S::least_us));
}

namespace {

constexpr uint64_t kLaterUs = 60'000'000;

struct MadeUpProcess {
  pid_t host = 0, own = 0;
};
constexpr auto members(const MadeUpProcess*) {
  using S = MadeUpProcess;
  return std::tuple(member("host", &S::host), member("own", &S::own));
}

/// A container whose processes, users and paths a test has made up.
struct MadeUp : LineTranslator {
  std::string memory, pids;
  uint32_t first_user = 0;
  std::vector<MadeUpProcess> processes;

  std::optional<pid_t> pid(pid_t host) override {
    for (const MadeUpProcess& process : processes) {
      if (process.host == host) return process.own;
    }
    return std::nullopt;
  }
  uint64_t user(uint64_t host) override { return host - first_user; }
  std::string memory_path(const std::string& host) override { return path_below(host, memory); }
  std::string pids_path(const std::string& host) override { return path_below(host, pids); }
};
constexpr auto members(const MadeUp*) {
  using S = MadeUp;
  return std::tuple(member("memory", &S::memory), member("pids", &S::pids),
                    member("firstUser", &S::first_user), member("processes", &S::processes));
}

Napi::Value to_js(Napi::Env env, const LogGroup& group, MadeUp& container) {
  const bool shows_limit = group.shows_limit(container.memory);
  std::vector<std::string> lines;
  for (const LogLine& line : group.lines) {
    if (line.of_limit && !shows_limit) continue;
    if (auto text = translate(line, container)) lines.push_back(escape_record(*text));
  }
  return JsObject(env)
      .set("kind", to_text(group.kind))
      .set("memoryPath", group.memory_path)
      .set("pidsPath", group.pids_path)
      .set("pid", group.pid)
      .set("kills", group.kills)
      .set("limitPath", group.limit_path)
      .set("first", group.first())
      .set("killed", group.kill ? group.kill->task : "")
      .set("lines", lines);
}

/// (bytes) -> a record of /dev/kmsg; null for what is none
Napi::Value read_log_record(Napi::Env env, const std::string& bytes) {
  const auto record = parse_record(bytes);
  if (!record) return env.Null();
  return JsObject(env)
      .set("level", record->level)
      .set("facility", record->facility)
      .set("sequence", record->sequence)
      .set("timeUs", record->time_us)
      .set("fragment", record->fragment)
      .set("callerTask", record->caller_task)
      .set("text", record->text)
      .set("escaped", escape_record(record->text));
}

/// (records, { memory, pids, processes, firstUser }, printers) -> the groups that are whole after
/// the last one, as a container with these paths, PIDs and user ids is told them. `printers`, if
/// given: the task that printed each record
std::vector<Napi::Value> sort_log(Napi::Env env, const std::vector<std::string>& records,
                                  MadeUp container,
                                  const std::optional<std::vector<pid_t>>& printers) {
  LogSorter sorter;
  for (size_t i = 0; i < records.size(); ++i) {
    auto record = parse_record(records[i]);
    if (!record) continue;
    const bool is_told = printers && i < printers->size();
    if (is_told) record->printer = Printer{(*printers)[i], record->time_us, 0};
    // As a reader that is never late.
    sorter.idle(record->time_us);
    sorter.take(*record, record->time_us);
  }
  sorter.idle(UINT64_MAX - kLaterUs);
  std::vector<Napi::Value> out;
  while (const auto group = sorter.next()) out.push_back(to_js(env, *group, container));
  return out;
}

struct LogRead {
  uint64_t record = 0, monotonic = 0, behind = 0;
};
constexpr auto members(const LogRead*) {
  using S = LogRead;
  return std::tuple(member("record", &S::record), member("monotonic", &S::monotonic),
                    member("behind", &S::behind));
}

/// ([{ record, monotonic, behind }], record, monotonic) -> by when that record had been logged, µs
uint64_t log_clock(const std::vector<LogRead>& reads, uint64_t record, uint64_t monotonic) {
  LogClock clock;
  for (const LogRead& read : reads) clock.observe(read.record, read.monotonic, read.behind);
  return clock.logged_by(record, monotonic);
}

/// What the kernel has told of a crash, and who had the PID then.
struct MadeUpCrash : PidHolders {
  uint64_t at = 0;
  std::optional<bool> other;  ///< of another PID
};
constexpr auto members(const MadeUpCrash*) {
  using S = MadeUpCrash;
  return std::tuple(member("at", &S::at), member("other", &S::other), member("living", &S::living),
                    member("ended", &S::ended));
}

/// ([{ at, other, living, ended }], { at, slack, least }, { living, ended }, lost) -> when the one
/// began, µs, that a record of that moment says has crashed; null: that is not proven. `lost`:
/// until when reports were lost, µs
std::optional<uint64_t> who_crashed(const std::vector<MadeUpCrash>& all, const LogMoment& moment,
                                    const PidHolders& now, const std::optional<uint64_t>& lost) {
  constexpr pid_t kPid = 7;
  Crashes crashes;
  if (lost) crashes.note_loss(*lost);
  for (const MadeUpCrash& one : all) {
    crashes.add(one.other.value_or(false) ? kPid + 1 : kPid, one.at, one);
  }
  const auto found = crashes.find(kPid, moment, now, moment.at_us);
  return found ? std::optional(found->start_us) : std::nullopt;
}

/// ({ at, slack, least }, { living, ended }, named) -> when the one began, µs, that had the PID at
/// that moment; null: that is not proven. `named`: in a line that is the container's own
std::optional<uint64_t> who_had_pid(const LogMoment& moment, const PidHolders& holders,
                                    bool named) {
  const auto found = who_had(holders, moment, named ? Young::kMaybe : Young::kNever);
  return found ? std::optional(found->start_us) : std::nullopt;
}

struct AskedRecord {
  std::string record;
  uint64_t logged = 0;
  std::optional<std::vector<pid_t>> faulted;
};
constexpr auto members(const AskedRecord*) {
  using S = AskedRecord;
  return std::tuple(member("record", &S::record), member("logged", &S::logged),
                    member("faulted", &S::faulted));
}

/// ([samples of perf_event_open(2)], [{ record, logged, faulted }], lost) -> who printed each
/// record; null where that is not proven. `faulted`: tasks without their code; `lost`: until when
/// others were lost, µs
std::vector<std::optional<pid_t>> who_printed(const std::vector<Bytes>& samples,
                                              const std::vector<AskedRecord>& records,
                                              uint64_t lost) {
  PrintedTexts printed;
  for (const Bytes& sample : samples) {
    TraceHit hit;
    if (parse_trace_hit(sample.text, hit)) printed.add(hit);
  }
  printed.note_loss(lost);
  std::vector<std::optional<pid_t>> out;
  for (const AskedRecord& asked : records) {
    const auto record = parse_record(asked.record);
    if (!record) continue;
    const auto found =
        printed.take(*record, asked.logged, asked.faulted.value_or(std::vector<pid_t>()));
    out.push_back(found ? std::optional(found->task) : std::nullopt);
  }
  return out;
}

/// (records) -> seconds that sorting and translating them took
Number time_log(const std::vector<std::string>& records) {
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
  return took.count() + static_cast<double>(bytes) * 0;
}

}  // namespace

void add_klog(Napi::Object& exports) {
  add<read_log_record>(exports, "readLogRecord");
  add<sort_log>(exports, "sortLog");
  add<log_clock>(exports, "logClock");
  add<who_crashed>(exports, "whoCrashed");
  add<who_had_pid>(exports, "whoHadPid");
  add<who_printed>(exports, "whoPrinted");
  add<time_log>(exports, "timeLog");
}

}  // namespace vprocfs
