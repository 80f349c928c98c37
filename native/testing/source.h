#pragma once

#include <fcntl.h>
#include <napi.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "addon/js_error.h"
#include "base/fd.h"
#include "source/container_source.h"
#include "testing/values.h"

namespace vprocfs {

inline Napi::Value throw_error(Napi::Env env, const Error& error) {
  to_js_error(env, error).ThrowAsJavaScriptException();
  return env.Undefined();
}

inline Result<Fd> open_directory(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Error{errno, path};
  return fd;
}

/// `new Source(tree | null, cgroup, notify)`: the source of one container, over a recorded tree or
/// this host's cgroups; `cgroup` is the text of its /proc/<pid>/cgroup.
class SourceObject : public Napi::ObjectWrap<SourceObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Source",
                       {InstanceMethod<&SourceObject::memory>("memory"),
                        InstanceMethod<&SourceObject::limits>("limits"),
                        InstanceMethod<&SourceObject::usage>("usage")});
  }

  explicit SourceObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SourceObject>(info) {
    ValueReader reader(info.Env());
    const bool live = info[0].IsNull();
    const std::string tree = live ? "/proc" : reader.text(info[0], "tree");
    const std::string cgroup = reader.text(info[1], "cgroup");
    if (!info[2].IsBoolean()) reader.wrong("notify", "a boolean");
    if (reader.failed()) return;
    if (info[2].As<Napi::Boolean>()) notifier_ = make_inotify_notifier();
    auto opened = open(tree, live, cgroup);
    if (!opened) {
      throw_error(info.Env(), opened.error());
      return;
    }
    source_ = std::move(opened.value());
  }

 private:
  Result<std::unique_ptr<ContainerSource>> open(const std::string& dir, bool live,
                                                const std::string& cgroup) const {
    const auto fd = open_directory(dir);
    if (!fd) return fd.error();
    const auto mounts =
        live ? CgroupMounts::discover(fd.value().get()) : CgroupMounts::from_tree(fd.value().get());
    if (!mounts) return mounts.error();
    const auto paths = CgroupPaths::parse(cgroup);
    if (!paths) return paths.error();
    return ContainerSource::open(mounts.value(), paths.value(), notifier_.get(), {kHugePageKb});
  }

  Napi::Value memory(const Napi::CallbackInfo& info) {
    const auto facts = source_->memory();
    return facts ? ValueMaker(info.Env()).memory(facts.value())
                 : throw_error(info.Env(), facts.error());
  }
  Napi::Value limits(const Napi::CallbackInfo& info) {
    const auto facts = source_->cpu_limits();
    return facts ? ValueMaker(info.Env()).limits(facts.value())
                 : throw_error(info.Env(), facts.error());
  }
  Napi::Value usage(const Napi::CallbackInfo& info) {
    const auto facts = source_->cpu_usage();
    return facts ? ValueMaker(info.Env()).usage(facts.value())
                 : throw_error(info.Env(), facts.error());
  }

  static constexpr uint64_t kHugePageKb = 2048;

  std::unique_ptr<ChangeNotifier> notifier_;  // outlives the source
  std::unique_ptr<ContainerSource> source_;
};

}  // namespace vprocfs
