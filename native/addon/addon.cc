#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <napi.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "addon/arguments.h"
#include "addon/js_error.h"
#include "addon/render_tool.h"
#include "addon/run_tool.h"
#include "addon/session.h"
#include "addon/survey_tool.h"
#include "addon/to_js.h"
#include "addon/watch_object.h"
#include "base/fd.h"
#include "container/container.h"
#include "container/name.h"
#include "fuse/mount.h"
#include "view/view.h"

namespace vprocfs {
namespace {

#define VPROCFS_STRING_(x) #x
#define VPROCFS_STRING(x) VPROCFS_STRING_(x)

/// The container's directory in the hierarchy of each controller that it is in.
Napi::Object cgroups_of(Napi::Env env, const ContainerDescription& d, const CgroupMounts& mounts) {
  JsObject out(env);
  for (size_t i = 0; i < kControllerCount; ++i) {
    const auto controller = static_cast<Controller>(i);
    const std::string name(kControllers[i].tool_name);
    if (name.empty()) continue;
    const Hierarchy* tree = mounts.of(controller);
    const std::string& path = d.paths.of(mounts, controller);
    if (tree == nullptr || path.empty()) continue;
    JsObject one(env);
    one.set("mount", tree->mount).set("path", path).set("v2", tree->v2);
    out.set(name, Napi::Object(one));
  }
  return out;
}

Napi::Object to_js(Napi::Env env, const ContainerDescription& d, const SharedServices& around) {
  Container container(d, around);
  auto facts = container.facts(kNeedMemory | kNeedCpus, boottime_us());
  const Facts f = facts ? facts.value() : Facts{};
  const ContainerName name = container_name(d.cgroup, d.tenant_cgroup);
  std::optional<double> quota;
  if (f.bandwidth) {
    quota =
        static_cast<double>(f.bandwidth->quota_us) / static_cast<double>(f.bandwidth->period_us);
  }
  return JsObject(env)
      .set("id", d.id.name())
      .set("tenant", d.tenant.name())
      .set("name", name.name)
      .set("runtime", name.runtime)
      .set("cgroup", d.cgroup)
      .set("init", d.init)
      .set("cgroups", cgroups_of(env, d, *around.mounts))
      .set("memoryLimit", f.memory.limit_bytes)
      .set("swapLimit", f.memory.swap.limit_bytes)
      .set("cpus", f.shown_cpus.size())
      .set("cpuQuota", quota);
}

/// What reading a container outside a session needs. Kept as long as its environment: to open it
/// mounts a procfs and a sysfs, and when such mounts go the kernel waits for all CPUs, which took
/// longer than to find a container.
struct Tools {
  std::unique_ptr<Host> host;
  std::unique_ptr<HostSource> source;
  SharedServices around;

  /// Those of the environment; nullptr with an exception pending.
  static Tools* of(Napi::Env env) {
    if (auto* known = env.GetInstanceData<Tools>()) return known;
    auto tools = std::make_unique<Tools>();
    auto host = Host::open();
    if (!host) {
      to_js_error(env, host.error()).ThrowAsJavaScriptException();
      return nullptr;
    }
    tools->host = std::move(host.value());
    tools->source =
        std::make_unique<HostSource>(tools->host->procfs.get(), tools->host->sysfs.get(), 1000000);
    tools->around.mounts = &tools->host->mounts;
    tools->around.host = tools->source.get();
    tools->around.procfs_fd = tools->host->procfs.get();
    env.SetInstanceData(tools.get());
    return tools.release();
  }
};

Napi::Value scan_containers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Tools* tools = Tools::of(env);
  if (!tools) return env.Undefined();
  return to_js_list(env, tools->host->resolver->scan(), [&](const ContainerDescription& found) {
    return to_js(env, found, tools->around);
  });
}

Napi::Value container_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!expect(env, info[0].IsNumber(), "pid must be a number")) return env.Undefined();
  const Tools* tools = Tools::of(env);
  if (!tools) return env.Undefined();
  auto found = tools->host->resolver->of_process(info[0].As<Napi::Number>().Int32Value());
  if (!found) {
    to_js_error(env, found.error()).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return found.value() ? Napi::Value(to_js(env, *found.value(), tools->around)) : env.Null();
}

Napi::Value list_views(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array out = Napi::Array::New(env);
  for (const View* view = views_begin(); view != views_end(); ++view) {
    // What this host lacks no container has.
    if (::access(("/" + std::string(view->path)).c_str(), F_OK) != 0) continue;
    JsObject row(env);
    row.set("index", view->index).set("path", view->path).set("mode", view->mode);
    out.Set(out.Length(), Napi::Object(row));
  }
  return out;
}

Napi::Value unmount(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto path = text_argument(info, 0, "path must be a string");
  if (!path) return env.Undefined();
  bool lazy = false;
  auto done = unmount_fuse(*path, lazy);
  if (!done && done.error().code != EINVAL) {
    to_js_error(env, done.error()).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Boolean::New(env, done.ok());
}

Napi::Value exec(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool fits = info[0].IsArray() && info[0].As<Napi::Array>().Length() > 0;
  if (!expect(env, fits, "arguments must be an array of strings")) return env.Undefined();
  const auto array = info[0].As<Napi::Array>();
  std::vector<std::string> arguments;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    arguments.push_back(array.Get(i).ToString().Utf8Value());
  }
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  // What Node changed for itself must not reach the new program: it marks even 0, 1 and 2 to be
  // closed on exec.
  for (const int fd : {0, 1, 2}) ::fcntl(fd, F_SETFD, 0);
  // So must what a service manager passes on (sd_listen_fds(3)), which is for that program.
  const char* listen_pid = std::getenv("LISTEN_PID");
  const char* listen_fds = std::getenv("LISTEN_FDS");
  if (listen_pid != nullptr && listen_fds != nullptr && std::atoi(listen_pid) == ::getpid()) {
    for (int i = 0; i < std::atoi(listen_fds); ++i) ::fcntl(3 + i, F_SETFD, 0);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execv(argv[0], argv.data());
  to_js_error(env, Error{errno, arguments[0]}).ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value match(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool fits = info[0].IsString() && info[1].IsString();
  if (!expect(env, fits, "pattern and name must be strings")) return env.Undefined();
  const std::string pattern = info[0].As<Napi::String>().Utf8Value();
  const std::string name = info[1].As<Napi::String>().Utf8Value();
  return Napi::Boolean::New(env, ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0);
}

/// What openat2(2) ends with here, of which a filter may make an error: 0, or the errno.
Napi::Value openat2_error(const Napi::CallbackInfo& info) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_DIRECTORY;
  const Fd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how)));
  return Napi::Number::New(info.Env(), fd ? 0 : errno);
}

/// Gives free memory back that the allocator holds; musl's does so by itself.
Napi::Value trim_memory(const Napi::CallbackInfo& info) {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
  return info.Env().Undefined();
}

Napi::Value exit_now(const Napi::CallbackInfo& info) {
  ::_exit(info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : 0);
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("version", VPROCFS_STRING(VPROCFS_VERSION));
  exports.Set("Session", SessionObject::define(env));
  exports.Set("Surveyor", SurveyObject::define(env));
  exports.Set("Watch", WatchObject::define(env));
  exports.Set("Renderer", RenderObject::define(env));
  exports.Set("scanContainers", Napi::Function::New<scan_containers>(env));
  exports.Set("containerOf", Napi::Function::New<container_of>(env));
  exports.Set("views", Napi::Function::New<list_views>(env));
  exports.Set("exec", Napi::Function::New<exec>(env));
  exports.Set("fnmatch", Napi::Function::New<match>(env));
  exports.Set("openat2Error", Napi::Function::New<openat2_error>(env));
  exports.Set("trimMemory", Napi::Function::New<trim_memory>(env));
  exports.Set("exitNow", Napi::Function::New<exit_now>(env));
  exports.Set("run", Napi::Function::New<run_program>(env));
  exports.Set("unmount", Napi::Function::New<unmount>(env));
  return exports;
}

NODE_API_MODULE(vprocfs, initialise)

}  // namespace
}  // namespace vprocfs
