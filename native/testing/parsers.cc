#include "base/directory.h"
#include "base/fixed_text.h"
#include "base/json_writer.h"
#include "container/name.h"
#include "klog/oom_kill.h"
#include "klog/record.h"
#include "source/host_parse.h"
#include "source/parse.h"
#include "source/pressure.h"
#include "survey/mounted.h"
#include "testing/directory.h"
#include "testing/parts.h"
#include "testing/values.h"
#include "view/view.h"

namespace vprocfs {

constexpr auto members(const HostCpuinfo::Block*) {
  using S = HostCpuinfo::Block;
  return std::tuple(member("cpu", &S::cpu), member("text", &S::text));
}
constexpr auto members(const HostCpuinfo*) {
  using S = HostCpuinfo;
  return std::tuple(member("header", &S::header), member("trailer", &S::trailer),
                    member("blocks", &S::blocks), member("packageCpus", &S::package_cpus));
}
constexpr auto members(const HostMeminfoLine*) {
  using S = HostMeminfoLine;
  return std::tuple(member("label", &S::label), member("value", &S::value),
                    member("inKb", &S::in_kb));
}
constexpr auto members(const HostStat::Line*) {
  using S = HostStat::Line;
  return std::tuple(member("key", &S::key), number("columns", &S::columns));
}
constexpr auto members(const HostStat*) {
  using S = HostStat;
  return std::tuple(number("cpuColumns", &S::cpu_columns), member("btimeS", &S::btime_s),
                    member("lines", &S::lines));
}
constexpr auto members(const OomKill*) {
  using S = OomKill;
  return std::tuple(member("cgroup", &S::cgroup), member("task", &S::task), member("pid", &S::pid),
                    member("byLimit", &S::by_limit));
}
constexpr auto members(const Mounted*) {
  using S = Mounted;
  return std::tuple(number("ours", &S::ours), number("lxcfs", &S::lxcfs), number("dead", &S::dead));
}
constexpr auto members(const ContainerName*) {
  using S = ContainerName;
  return std::tuple(member("name", &S::name), member("runtime", &S::runtime));
}

namespace {

/// As it would be shown; null where there is nothing to show.
std::optional<std::string> show_pressure(std::string_view text) {
  const auto pressure = parse_pressure(text);
  if (!pressure) return std::nullopt;
  Facts facts;
  facts.pressure = *pressure;
  std::string shown;
  Writer writer(shown);
  find_view("proc/pressure/cpu")->render(facts, writer);
  return shown;
}

std::vector<HostMeminfoLine> meminfo_lines(std::string_view text) {
  return parse_meminfo(text).lines;
}

HostStat stat_or_none(std::string_view text) {
  return parse_stat(text).value_or(HostStat{0, 0, {}});
}

std::optional<OomKill> escaped_oom_kill(std::string_view text) {
  return parse_oom_kill(unescape_record(text));
}

/// (procDir, fsType, source) -> how many lines of the mountinfo of its process 1 count.
Result<Mounted> mounted_of(const std::string& dir, const std::string& type,
                           const std::string& source) {
  const auto proc = open_directory(dir);
  if (!proc) return proc.error();
  const MountIdentity identity{type, source};
  const int fd = proc.value().get();
  return mounted_files(fd, 1, identity, live_devices(fd, identity).value_or(Devices()), UINT64_MAX)
      .value_or(Mounted());
}

/// (Buffer) -> { whole, cut }: a JSON document with that text in it, and its first 16 bytes as a
/// FixedText has them.
Napi::Value write_json(Napi::Env env, const Bytes& bytes) {
  const auto write = [&bytes](auto& out) {
    JsonWriter json(out);
    json.begin_object().key("list").begin_array().text(bytes.text).text("").end_array();
    json.key("number").number(int64_t{-5}).key("largest").number(UINT64_MAX);
    json.key("empty").begin_array().end_array().key("true").boolean(true).end_object();
  };
  std::string whole;
  FixedText<16> cut;
  write(whole);
  write(cut);
  return JsObject(env).set("whole", Bytes(whole)).set("cut", Bytes(cut.text()));
}

}  // namespace

void add_parsers(Napi::Object& exports) {
  add<parse_u64>(exports, "parseU64");
  add<parse_cpu_list>(exports, "parseCpuList");
  add<parse_cpuinfo>(exports, "parseCpuinfo");
  add<show_pressure>(exports, "parsePressure");
  add<meminfo_lines>(exports, "parseMeminfo");
  add<stat_or_none>(exports, "parseStat");
  add<escaped_oom_kill>(exports, "parseOomKill");
  add<mounted_of>(exports, "countMounted");
  add<write_json>(exports, "writeJson");
  // (cgroup, cgroup of its tenant) -> {name, runtime}
  add<container_name>(exports, "nameContainer");
}

}  // namespace vprocfs
