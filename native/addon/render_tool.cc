#include "addon/render_tool.h"

#include <sys/stat.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "view/view.h"

namespace vprocfs {
namespace {

constexpr double kMaxTickMs = 1000;

/// The names of what is in a directory.
template <typename Entries>
Napi::Array names_of(Napi::Env env, const Entries& entries) {
  return list_of(env, entries,
                 [env](const auto& entry) { return Napi::String::New(env, entry.name); });
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
  using R = RenderObject;
  return DefineClass(env, "Renderer",
                     {method<&R::list>("list"), method<&R::render>("render"),
                      method<&R::look>("look"), method<&R::close>("close")});
}

RenderObject::RenderObject(const Napi::CallbackInfo& info) : Wrapped(info) {
  const auto given = arguments<double, std::optional<std::string>>(info);
  if (!given) return;
  const auto& [tick_ms, bpf] = *given;
  if (!(tick_ms >= 1 && tick_ms <= kMaxTickMs)) {
    Given{info.Env(), info[0], "tickMs"}.wrong("a number from 1 to 1000");
    return;
  }
  const auto opened = open(static_cast<uint64_t>(tick_ms * 1000), bpf != "off");
  if (!opened) throw_error(info.Env(), opened.error());
}

Result<bool> RenderObject::open(uint64_t tick_us, bool bpf) {
  auto host = Host::open();
  if (!host) return host.error();
  host_ = std::move(host.value());
  notifier_ = ChangeNotifier::open();
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
  return registry_->start([] { return true; });
}

Result<std::shared_ptr<Container>> RenderObject::container(const std::string& id) {
  if (!registry_) return Error{EBADF, "renderer"};
  const auto parsed = ContainerId::parse(id);
  return parsed ? registry_->by_id(*parsed) : Error{ESRCH, id};
}

Result<std::vector<std::string>> RenderObject::list() {
  if (!registry_) return Error{EBADF, "renderer"};
  std::vector<std::string> names;
  for (const auto& description : registry_->list()) names.push_back(description.id.name());
  return names;
}

Result<Napi::Value> RenderObject::render(const std::string& id, const std::string& path) {
  const View* view = find_view(path);
  const auto mirrored = view == nullptr ? Mirror::below_root(path) : std::nullopt;
  if (view == nullptr && !mirrored) return Error{ENOENT, path};
  const auto found = container(id);
  if (!found) return found.error();
  const auto mirrored_text = [&]() -> Result<std::string> {
    const auto ask = ask_of(found.value());
    const auto place = mirror_->resolve(*mirrored, ask);
    return place ? mirror_->text(place.value(), ask) : place.error();
  };
  const auto text = view != nullptr ? found.value()->render(*view, boottime_us()) : mirrored_text();
  if (!text) return text.error();
  // Bytes, since nothing promises that what the kernel tells is UTF-8.
  return Napi::Value(Napi::Buffer<char>::Copy(Env(), text.value().data(), text.value().size()));
}

Result<Napi::Value> RenderObject::look(const std::string& id, const std::string& path) {
  const auto owner = container(id);
  if (!owner && !registry_) return owner.error();
  if (!owner) return Env().Null();
  const Tree::Found found = tree_->find(path);
  if (found.view != nullptr) return made_file(Env(), *found.view);
  const auto mirrored = Mirror::below_root(path);
  const Napi::Value there =
      mirrored ? look_at_mirrored(*mirrored, ask_of(owner.value())) : Env().Null();
  // Without sysfs there are still the views.
  if (!there.IsNull() || found.dir == nullptr) return there;
  return made_directory(Env(), *found.dir);
}

Napi::Value RenderObject::look_at_mirrored(const std::string& path, const Mirror::Ask& ask) {
  const auto place = mirror_->resolve(path, ask);
  const auto node = place ? mirror_->stat(place.value()) : place.error();
  if (!node) return Env().Null();
  JsObject out(Env());
  out.set("mode", node.value().st_mode)
      .set("links", node.value().st_nlink)
      .set("uid", node.value().st_uid)
      .set("gid", node.value().st_gid)
      .set("size", node.value().st_size)
      .set("isMirrored", true);
  if (S_ISLNK(node.value().st_mode)) {
    out.set("target", mirror_->link(place.value()).value_or({}));
  } else if (S_ISDIR(node.value().st_mode)) {
    const auto found = mirror_->list(place.value(), ask);
    if (!found) return Env().Null();
    out.set("names", names_of(Env(), found.value()));
  }
  return out;
}

void RenderObject::close() {
  registry_.reset();
  sampler_.reset();
}

}  // namespace vprocfs
