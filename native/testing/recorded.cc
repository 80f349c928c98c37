#include "testing/recorded.h"

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "container/container.h"
#include "container/mirror.h"
#include "container/task_load.h"
#include "seccomp/call.h"
#include "source/host_source.h"
#include "survey/cgroup_figures.h"
#include "testing/source.h"
#include "testing/values.h"
#include "view/sysinfo_model.h"
#include "view/view.h"

namespace vprocfs {
namespace {

/// A recorded host with one container, <case>/{proc,sys,cgroup}, served by what serves live ones.
class RecordedCase {
 public:
  static Result<std::unique_ptr<RecordedCase>> open(const std::string& dir, pid_t init) {
    auto out = std::make_unique<RecordedCase>();
    for (const auto& [fd, name] : {std::pair<Fd*, const char*>{&out->proc_, "/proc"},
                                   {&out->sys_, "/sys"},
                                   {&out->cgroup_, "/cgroup"}}) {
      auto opened = open_directory(dir + name);
      if (!opened) return opened.error();
      *fd = std::move(opened.value());
    }
    auto mounts = CgroupMounts::from_tree(out->cgroup_.get());
    if (!mounts) return mounts.error();
    out->mounts_ = std::move(mounts.value());
    auto description = Resolver(out->mounts_, out->proc_.get()).of_recorded(init);
    if (!description) return description.error();
    out->host_ = std::make_unique<HostSource>(out->proc_.get(), out->sys_.get(), 0);
    SharedServices services;
    services.mounts = &out->mounts_;
    services.host = out->host_.get();
    services.procfs_fd = out->proc_.get();
    out->container_ = std::make_unique<Container>(std::move(description.value()), services);
    return out;
  }

  const CgroupMounts& mounts() const { return mounts_; }
  Container& container() { return *container_; }

  Mirror::Ask ask(uint64_t now_us) {
    return [this, now_us](uint32_t needs) { return container_->facts(needs, now_us); };
  }

  Result<std::string> render(const std::string& path, uint64_t now_us) {
    const View* view = find_view(path);
    if (view != nullptr) {
      if ((view->needs & (kNeedTasks | kNeedLoad)) != 0) count_tasks(now_us);
      return container_->render(*view, now_us);
    }
    const Mirror mirror(*host_);
    const auto place = mirror.resolve(*Mirror::below_root(path), ask(now_us));
    return place ? mirror.text(place.value(), ask(now_us)) : place.error();
  }

  /// What the container finds in a mirrored directory.
  Result<std::vector<SysfsEntry>> list(const std::string& path, uint64_t now_us) {
    const auto mirrored = Mirror::below_root(path);
    if (!mirrored) return Error{ENOENT, path};
    Mirror mirror(*host_);
    const auto place = mirror.resolve(*mirrored, ask(now_us));
    return place ? mirror.list(place.value(), ask(now_us)) : place.error();
  }

  /// What the sampler does with a first reader, every task being looked at.
  void count_tasks(uint64_t now_us) {
    constexpr uint64_t kNoHurryUs = 60000000;
    const auto load = container_->task_load();
    const auto counter = make_scan_task_counter(mounts_, proc_.get(), kNoHurryUs);
    const auto counts = counter->count({load->cgroup()});
    if (counts) load->take(counts.value()[0], now_us, now_us, true);
  }

 private:
  Fd proc_, sys_, cgroup_;
  CgroupMounts mounts_;
  std::unique_ptr<HostSource> host_;
  std::unique_ptr<Container> container_;  // borrows all of these
};

/// Arguments that name a file of a recorded case, and when it is read.
struct FileOfCase {
  FileOfCase(ValueReader& reader, const Napi::CallbackInfo& info)
      : dir(reader.text(info[0], "caseDir")),
        path(reader.text(info[1], "path")),
        init(static_cast<pid_t>(reader.integer(info[2], "init", INT32_MAX))),
        now_us(reader.u64(info[3], "nowUs")) {}

  std::string dir, path;
  pid_t init;
  uint64_t now_us;
};

}  // namespace

Napi::Value render_fixture(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const FileOfCase file(reader, info);
  if (reader.failed()) return env.Undefined();
  if (find_view(file.path) == nullptr && !Mirror::below_root(file.path)) {
    return throw_error(env, {ENOENT, file.path});
  }
  const auto recorded = RecordedCase::open(file.dir, file.init);
  if (!recorded) return throw_error(env, recorded.error());
  const auto text = recorded.value()->render(file.path, file.now_us);
  if (!text) return throw_error(env, text.error());
  return Napi::String::New(env, text.value());
}

Napi::Value list_fixture(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const FileOfCase file(reader, info);
  if (reader.failed()) return env.Undefined();
  const auto recorded = RecordedCase::open(file.dir, file.init);
  if (!recorded) return throw_error(env, recorded.error());
  const auto found = recorded.value()->list(file.path, file.now_us);
  if (!found) return throw_error(env, found.error());
  return ValueMaker(env).list(
      found.value(), [&](const SysfsEntry& entry) { return Napi::String::New(env, entry.name); });
}

Napi::Value sysinfo_fixture(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "caseDir");
  const uint32_t init = reader.integer(info[1], "init", INT32_MAX);
  const uint64_t now_us = reader.u64(info[2], "nowUs");
  if (reader.failed()) return env.Undefined();
  const auto recorded = RecordedCase::open(dir, static_cast<pid_t>(init));
  if (!recorded) return throw_error(env, recorded.error());
  recorded.value()->count_tasks(now_us);
  const auto figures = recorded.value()->container().call_facts(now_us, 0);
  if (!figures) return throw_error(env, figures.error());
  const auto bytes = encode_sysinfo64(figures.value().sysinfo);
  return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size());
}

Napi::Value cgroup_figures(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "caseDir");
  const auto init = static_cast<pid_t>(reader.integer(info[1], "init", INT32_MAX));
  if (reader.failed()) return env.Undefined();
  const auto recorded = RecordedCase::open(dir, init);
  if (!recorded) return throw_error(env, recorded.error());
  Figures figures;
  CgroupFigures(recorded.value()->mounts(), recorded.value()->container().description())
      .read(figures);
  Napi::Object out = Napi::Object::New(env);
  for (size_t i = 0; i < kFigureCount; ++i) {
    const auto figure = static_cast<Figure>(i);
    if (figures.has(figure)) out.Set(kFigureNames[i], figures.get(figure));
  }
  return out;
}

}  // namespace vprocfs
