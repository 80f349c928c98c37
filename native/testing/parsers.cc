#include "testing/parsers.h"

#include <string>

#include "container/name.h"
#include "klog/oom_kill.h"
#include "klog/record.h"
#include "source/host_parse.h"
#include "source/parse.h"
#include "source/pressure.h"
#include "survey/mounted.h"
#include "testing/source.h"
#include "testing/values.h"
#include "view/pressure_lines.h"

namespace vprocfs {
namespace {

/// A parser of one text: `make(maker, text)`.
template <Napi::Value (*make)(const ValueMaker&, const std::string&)>
Napi::Value parse_text(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const std::string text = reader.text(info[0], "text");
  return reader.failed() ? info.Env().Undefined() : make(ValueMaker(info.Env()), text);
}

Napi::Value make_u64(const ValueMaker& maker, const std::string& text) {
  return maker.u64(parse_u64(text));
}

Napi::Value make_cpu_list(const ValueMaker& maker, const std::string& text) {
  return maker.cpus(parse_cpu_list(text));
}

Napi::Value make_cpuinfo(const ValueMaker& maker, const std::string& text) {
  return maker.cpuinfo(parse_cpuinfo(text));
}

/// As it would be shown; null where there is nothing to show.
Napi::Value make_pressure(const ValueMaker& maker, const std::string& text) {
  const auto facts = parse_pressure(text);
  if (!facts) return maker.null();
  std::string shown;
  Writer writer(shown);
  write_pressure(*facts, writer);
  return maker.text(shown);
}

Napi::Value make_meminfo(const ValueMaker& maker, const std::string& text) {
  return maker.list(parse_meminfo(text).lines, [&](const HostMeminfoLine& line) {
    Napi::Object row = maker.object();
    row.Set("label", line.label);
    row.Set("value", maker.u64(line.value));
    row.Set("inKb", line.in_kb);
    return row;
  });
}

Napi::Value make_stat(const ValueMaker& maker, const std::string& text) {
  const HostStat stat = parse_stat(text).value_or(HostStat{0, 0, {}});
  Napi::Object out = maker.object();
  out.Set("cpuColumns", maker.integer(stat.cpu_columns));
  out.Set("btimeS", maker.u64(stat.btime_s));
  out.Set("lines", maker.list(stat.lines, [&](const HostStat::Line& line) {
    Napi::Object row = maker.object();
    row.Set("key", line.key);
    row.Set("columns", maker.integer(line.columns));
    return row;
  }));
  return out;
}

Napi::Value make_oom_kill(const ValueMaker& maker, const std::string& text) {
  const auto kill = parse_oom_kill(unescape_record(text));
  if (!kill) return maker.u64(std::nullopt);
  Napi::Object out = maker.object();
  out.Set("cgroup", kill->cgroup);
  out.Set("task", kill->task);
  out.Set("pid", maker.u64(kill->pid));
  out.Set("byLimit", kill->by_limit);
  return out;
}

/// (procDir, fsType, source) -> how many lines of the mountinfo of its process 1 count.
Napi::Value mounted_of(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const std::string dir = reader.text(info[0], "procDir");
  const std::string type = reader.text(info[1], "fsType");
  const std::string source = reader.text(info[2], "source");
  if (reader.failed()) return info.Env().Undefined();
  const auto proc = open_directory(dir);
  if (!proc) return throw_error(info.Env(), proc.error());
  const MountIdentity identity{type, source};
  const int fd = proc.value().get();
  const auto found = mounted_files(fd, 1, identity, lxcfs_devices(fd, identity));
  const Mounted mounted = found.value_or(Mounted());
  const ValueMaker maker(info.Env());
  Napi::Object out = maker.object();
  out.Set("ours", maker.integer(mounted.ours));
  out.Set("lxcfs", maker.integer(mounted.lxcfs));
  return out;
}

/// (cgroup, cgroup of its tenant) -> {name, runtime}
Napi::Value name_container(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  const std::string cgroup = reader.text(info[0], "cgroup");
  const std::string tenant = reader.text(info[1], "tenant");
  if (reader.failed()) return info.Env().Undefined();
  const ContainerName name = container_name(cgroup, tenant);
  Napi::Object out = ValueMaker(info.Env()).object();
  out.Set("name", name.name);
  out.Set("runtime", name.runtime);
  return out;
}

}  // namespace

void add_parsers(Napi::Env env, Napi::Object testing) {
  testing.Set("parseU64", Napi::Function::New<parse_text<make_u64>>(env));
  testing.Set("parseCpuList", Napi::Function::New<parse_text<make_cpu_list>>(env));
  testing.Set("parseCpuinfo", Napi::Function::New<parse_text<make_cpuinfo>>(env));
  testing.Set("parsePressure", Napi::Function::New<parse_text<make_pressure>>(env));
  testing.Set("parseMeminfo", Napi::Function::New<parse_text<make_meminfo>>(env));
  testing.Set("parseStat", Napi::Function::New<parse_text<make_stat>>(env));
  testing.Set("parseOomKill", Napi::Function::New<parse_text<make_oom_kill>>(env));
  testing.Set("countMounted", Napi::Function::New<mounted_of>(env));
  testing.Set("nameContainer", Napi::Function::New<name_container>(env));
}

}  // namespace vprocfs
