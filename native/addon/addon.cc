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

#include "addon/bind.h"
#include "addon/render_tool.h"
#include "addon/run_tool.h"
#include "addon/session.h"
#include "addon/survey_tool.h"
#include "addon/watch_object.h"
#include "base/attempts.h"
#include "base/fd.h"
#include "base/program_pages.h"
#include "container/container.h"
#include "container/name.h"
#include "container/prompt_resolver.h"
#include "fuse/mount.h"
#include "source/cgroup_dir.h"
#include "view/memory_model.h"
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

/// What says which container it is. Reads nothing.
JsObject identity(Napi::Env env, const ContainerDescription& d) {
  const ContainerName name = container_name(d.cgroup, d.tenant_cgroup);
  return JsObject(env)
      .set("id", d.id.name())
      .set("tenant", d.tenant.name())
      .set("name", name.name)
      .set("runtime", name.runtime)
      .set("cgroup", d.cgroup)
      .set("init", d.init);
}

/// The same, and where its cgroups are. Reads nothing either.
JsObject located(Napi::Env env, const ContainerDescription& d, const SharedServices& around) {
  return identity(env, d).set("cgroups", cgroups_of(env, d, *around.mounts));
}

/// How long a container may keep its caller waiting, who may be all of JavaScript.
constexpr uint64_t kAttemptUs = 250'000;

/// What a container keeps from being answered. EAGAIN would say that the node is short of
/// something.
const Error kLate{ETIMEDOUT, "its container does not answer"};

/// What reading a container outside a session needs. Kept as long as its environment: to open it
/// mounts a procfs and a sysfs, and when such mounts go the kernel waits for all CPUs, which took
/// longer than to find a container.
struct Tools {
  std::unique_ptr<Host> host;
  std::unique_ptr<HostSource> source;
  SharedServices around;
  Attempts attempts{[] {}, kAttemptUs};

  /// Those of the environment.
  static Result<Tools*> of(Napi::Env env) {
    if (auto* known = env.GetInstanceData<Tools>()) return known;
    auto tools = std::make_unique<Tools>();
    auto host = Host::open();
    if (!host) return host.error();
    tools->host = std::move(host.value());
    tools->source =
        std::make_unique<HostSource>(tools->host->procfs.get(), tools->host->sysfs.get(), 1000000);
    tools->around.mounts = &tools->host->mounts;
    tools->around.host = tools->source.get();
    tools->around.procfs_fd = tools->host->procfs.get();
    // Without threads the caller may have to wait.
    static_cast<void>(tools->attempts.start());
    env.SetInstanceData<Tools, end>(tools.get());
    return tools.release();
  }

  PromptResolver resolver() { return {*host->resolver, &attempts}; }

 private:
  static void end(Napi::Env, Tools* tools) {
    // Else a container keeps a thread from ending, which may use all of it.
    if (tools->attempts.end()) delete tools;
  }
};

/// The same with figures: to read those flushes the counters of the container's whole subtree,
/// whose size the container decides, and waits for files that may not answer.
Result<Napi::Object> to_js(Napi::Env env, const ContainerDescription& d, Tools& tools) {
  const auto read = [d, around = &tools.around]() -> Result<Facts> {
    Container container(d, *around);
    const auto facts = container.facts(kNeedMemory | kNeedCpus, boottime_us());
    if (!facts) return facts.error();
    return facts.value();
  };
  const auto payer = PromptResolver::payer_of(d.tenant_identity);
  const auto facts = tools.resolver().ask<Result<Facts>>(payer, read);
  if (!facts) return kLate;
  if (!*facts) return facts->error();
  const Facts& f = facts->value();
  const SharedServices& around = tools.around;
  std::optional<double> quota;
  if (f.bandwidth) {
    quota =
        static_cast<double>(f.bandwidth->quota_us) / static_cast<double>(f.bandwidth->period_us);
  }
  return Napi::Object(located(env, d, around)
                          .set("memoryLimit", f.memory.limit_bytes)
                          .set("swapLimit", f.memory.swap.limit_bytes)
                          .set("cpus", f.shown_cpus.size())
                          .set("cpuQuota", quota));
}

Result<Napi::Value> scan_containers(Napi::Env env) {
  const auto tools = Tools::of(env);
  if (!tools) return tools.error();
  const PromptResolver resolver = tools.value()->resolver();
  const SharedServices& around = tools.value()->around;
  const auto has_ended = [&](const ContainerDescription& d) {
    const auto now = resolver.of_process(d.init);
    return !now || !now.value() || !(now.value()->id == d.id);
  };
  Napi::Array out = Napi::Array::New(env);
  for (const ContainerDescription& found : resolver.scan()) {
    const Napi::HandleScope scope(env);
    const auto full = to_js(env, found, *tools.value());
    if (full) {
      out.Set(out.Length(), full.value());
      continue;
    }
    const Error& error = full.error();
    if ((error.code == ESRCH || is_of_removed(error)) && has_ended(found)) continue;
    out.Set(out.Length(),
            Napi::Object(located(env, found, around).set("problem", problem_of(error))));
  }
  return Napi::Value(out);
}

Result<Napi::Value> locate_containers(Napi::Env env) {
  const auto tools = Tools::of(env);
  if (!tools) return tools.error();
  const auto make = [&](const auto& found) {
    return Napi::Object(located(env, found, tools.value()->around));
  };
  return Napi::Value(list_of(env, tools.value()->resolver().scan(), make));
}

/// The memory of the node, bytes.
Result<Napi::Value> node_memory(Napi::Env env) {
  const auto tools = Tools::of(env);
  if (!tools) return tools.error();
  const auto host = tools.value()->source->meminfo(boottime_us());
  if (!host) return host.error();
  const HostMeminfo& meminfo = *host.value();
  const auto bytes = [](uint64_t kb) { return static_cast<double>(kb) * 1024; };
  const auto total = meminfo.value("MemTotal");
  const auto available = available_on(meminfo);
  if (!total || !available) return env.Null();
  return Napi::Value(JsObject(env)
                         .set("total", bytes(*total))
                         .set("available", bytes(*available))
                         .set("arc", bytes(meminfo.arc_kb)));
}

template <typename Make>
Result<Napi::Value> found_for(Napi::Env env, int32_t pid, Make make) {
  const auto tools = Tools::of(env);
  if (!tools) return tools.error();
  const auto found = tools.value()->resolver().of_process(pid);
  if (!found) return found.error().code == EAGAIN ? kLate : found.error();
  if (!found.value()) return env.Null();
  Result<Napi::Object> made = make(*found.value(), *tools.value());
  if (!made) return made.error();
  return Napi::Value(made.value());
}

Result<Napi::Value> container_of(Napi::Env env, int32_t pid) {
  return found_for(env, pid, [env](const ContainerDescription& d, Tools& tools) {
    return to_js(env, d, tools);
  });
}

Result<Napi::Value> location_of(Napi::Env env, int32_t pid) {
  return found_for(env, pid, [env](const ContainerDescription& d, const Tools& tools) {
    return Napi::Object(located(env, d, tools.around));
  });
}

Result<Napi::Value> identity_of(Napi::Env env, int32_t pid) {
  return found_for(env, pid, [env](const ContainerDescription& d, const Tools&) {
    return Napi::Object(identity(env, d));
  });
}

std::vector<Napi::Object> list_views(Napi::Env env) {
  std::vector<Napi::Object> out;
  for (const View* view = views_begin(); view != views_end(); ++view) {
    // What this host lacks no container has.
    if (::access(("/" + std::string(view->path)).c_str(), F_OK) != 0) continue;
    out.push_back(
        JsObject(env).set("index", view->index).set("path", view->path).set("mode", view->mode));
  }
  return out;
}

Result<bool> unmount(const std::string& path) {
  bool lazy = false;
  const auto done = unmount_fuse(path, lazy);
  if (!done && done.error().code != EINVAL) return done.error();
  return done.ok();
}

Error exec(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  if (arguments.empty()) return {EINVAL, "arguments"};
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
  return {errno, arguments[0]};
}

bool match(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

/// What openat2(2) ends with here, of which a filter may make an error: 0, or the errno.
int openat2_error() {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_DIRECTORY;
  const Fd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how)));
  return fd ? 0 : errno;
}

/// Gives free memory back that the allocator holds; musl's does so by itself. And what of Node's
/// program is not needed any more.
void trim_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
  release_program_pages();
}

void exit_now(std::optional<int> status) { ::_exit(status.value_or(0)); }

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("version", VPROCFS_STRING(VPROCFS_VERSION));
  exports.Set("Session", SessionObject::define(env));
  exports.Set("Surveyor", SurveyObject::define(env));
  exports.Set("Watch", WatchObject::define(env));
  exports.Set("Renderer", RenderObject::define(env));
  add<scan_containers>(exports, "scanContainers");
  add<locate_containers>(exports, "locateContainers");
  add<node_memory>(exports, "nodeMemory");
  add<location_of>(exports, "locationOf");
  add<container_of>(exports, "containerOf");
  add<identity_of>(exports, "identityOf");
  add<list_views>(exports, "views");
  add<exec>(exports, "exec");
  add<match>(exports, "fnmatch");
  add<openat2_error>(exports, "openat2Error");
  add<trim_memory>(exports, "trimMemory");
  add<exit_now>(exports, "exitNow");
  add<run_program>(exports, "run");
  add<unmount>(exports, "unmount");
  return exports;
}

NODE_API_MODULE(vprocfs, initialise)

}  // namespace
}  // namespace vprocfs
