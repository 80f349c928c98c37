#include "addon/render_tool.h"

#include <sys/stat.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "addon/arguments.h"
#include "addon/js_error.h"
#include "addon/to_js.h"
#include "view/view.h"

namespace vprocfs {
namespace {

constexpr double kMaxTickMs = 1000;

/// The names of what is in a directory.
template <typename Entries>
Napi::Array names_of(Napi::Env env, const Entries& entries) {
  return to_js_list(env, entries, [env](const auto& entry) { return to_js(env, entry.name); });
}

/// What a file or directory that is no file of the host has beside its name.
JsObject made(Napi::Env env, uint32_t mode, uint32_t links) {
  JsObject out(env);
  out.set("mode", mode).set("links", links);
  out.set("uid", 0).set("gid", 0).set("size", 0).set("isMirrored", false);
  return out;
}

Napi::Value made_file(Napi::Env env, const View& view) { return made(env, S_IFREG | view.mode, 1); }

Napi::Value made_directory(Napi::Env env, const TreeDir& dir) {
  return made(env, S_IFDIR | 0555, 2).set("names", names_of(env, dir.entries));
}

Mirror::Ask ask_of(const std::shared_ptr<Container>& container) {
  return [container](uint32_t needs) { return container->facts(needs, boottime_us()); };
}

}  // namespace

Napi::Function RenderObject::define(Napi::Env env) {
  return DefineClass(
      env, "Renderer",
      {InstanceMethod<&RenderObject::list>("list"), InstanceMethod<&RenderObject::render>("render"),
       InstanceMethod<&RenderObject::look>("look"), InstanceMethod<&RenderObject::close>("close")});
}

RenderObject::RenderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RenderObject>(info) {
  const Napi::Env env = info.Env();
  const double tick_ms = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
  const bool fits = tick_ms >= 1 && tick_ms <= kMaxTickMs;
  if (!expect(env, fits, "tickMs must be a number from 1 to 1000")) return;
  const bool bpf = !info[1].IsString() || info[1].As<Napi::String>().Utf8Value() != "off";
  const auto opened = open(static_cast<uint64_t>(tick_ms * 1000), bpf);
  if (!opened) to_js_error(env, opened.error()).ThrowAsJavaScriptException();
}

Result<bool> RenderObject::open(uint64_t tick_us, bool bpf) {
  auto host = Host::open();
  if (!host) return host.error();
  host_ = std::move(host.value());
  notifier_ = make_inotify_notifier();
  source_ = std::make_unique<HostSource>(host_->procfs.get(), host_->sysfs.get(), tick_us);
  sampler_ = std::make_unique<Sampler>(host_->counting(bpf));
  auto sampling = sampler_->start();
  if (!sampling) return sampling;
  SharedServices around;
  around.sampler = sampler_.get();
  around.mounts = &host_->mounts;
  around.notifier = notifier_.get();
  around.host = source_.get();
  around.procfs_fd = host_->procfs.get();
  mirror_ = std::make_unique<Mirror>(*source_);
  tree_.emplace([this](const std::string& path) { return source_->has(path); });
  registry_ = std::make_unique<Registry>(*host_->resolver, around);
  // Nothing is cached beyond a tick here, so that nobody has to be told of new limits.
  return registry_->start([] {});
}

bool RenderObject::usable(Napi::Env env) const {
  if (registry_) return true;
  to_js_error(env, Error{EBADF, "renderer"}).ThrowAsJavaScriptException();
  return false;
}

Napi::Value RenderObject::list(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  return to_js_list(env, registry_->list(), [env](const ContainerDescription& description) {
    return to_js(env, description.id.name());
  });
}

Napi::Value RenderObject::render(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto name = text_argument(info, 0, "id must be a string");
  if (!name) return env.Undefined();
  const auto path = text_argument(info, 1, "path must be a string");
  if (!path || !usable(env)) return env.Undefined();
  const auto fail = [env](const Error& error) {
    to_js_error(env, error).ThrowAsJavaScriptException();
    return env.Undefined();
  };
  const View* view = find_view(*path);
  const auto mirrored = view == nullptr ? Mirror::below_root(*path) : std::nullopt;
  if (view == nullptr && !mirrored) return fail({ENOENT, *path});
  const auto id = ContainerId::parse(*name);
  if (!id) return fail({ESRCH, *name});
  auto container = registry_->by_id(*id);
  if (!container) return fail(container.error());
  const auto mirrored_text = [&]() -> Result<std::string> {
    const auto ask = ask_of(container.value());
    const auto place = mirror_->resolve(*mirrored, ask);
    return place ? mirror_->text(place.value(), ask) : place.error();
  };
  const auto text =
      view != nullptr ? container.value()->render(*view, boottime_us()) : mirrored_text();
  if (!text) return fail(text.error());
  // Bytes, since nothing promises that what the kernel tells is UTF-8.
  return Napi::Buffer<char>::Copy(env, text.value().data(), text.value().size());
}

Napi::Value RenderObject::look(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto name = text_argument(info, 0, "id must be a string");
  if (!name) return env.Undefined();
  const auto path = text_argument(info, 1, "path must be a string");
  if (!path || !usable(env)) return env.Undefined();
  const auto id = ContainerId::parse(*name);
  const auto container =
      id ? registry_->by_id(*id) : Result<std::shared_ptr<Container>>(Error{ESRCH, *name});
  if (!container) return env.Null();
  const Tree::Found found = tree_->find(*path);
  if (found.view != nullptr) return made_file(env, *found.view);
  const auto mirrored = Mirror::below_root(*path);
  const Napi::Value there =
      mirrored ? look_at_mirrored(env, *mirrored, ask_of(container.value())) : env.Null();
  // Without sysfs there are still the views.
  if (!there.IsNull() || found.dir == nullptr) return there;
  return made_directory(env, *found.dir);
}

Napi::Value RenderObject::look_at_mirrored(Napi::Env env, const std::string& path,
                                           const Mirror::Ask& ask) {
  const auto place = mirror_->resolve(path, ask);
  const auto node = place ? mirror_->stat(place.value()) : place.error();
  if (!node) return env.Null();
  JsObject out(env);
  out.set("mode", node.value().st_mode)
      .set("links", node.value().st_nlink)
      .set("uid", node.value().st_uid)
      .set("gid", node.value().st_gid)
      .set("size", node.value().st_size)
      .set("isMirrored", true);
  if (S_ISLNK(node.value().st_mode)) {
    const auto target = mirror_->link(place.value());
    out.set("target", target ? target.value() : std::string());
  } else if (S_ISDIR(node.value().st_mode)) {
    const auto found = mirror_->list(place.value(), ask);
    if (!found) return env.Null();
    out.set("names", names_of(env, found.value()));
  }
  return out;
}

Napi::Value RenderObject::close(const Napi::CallbackInfo& info) {
  registry_.reset();
  sampler_.reset();
  return info.Env().Undefined();
}

}  // namespace vprocfs
