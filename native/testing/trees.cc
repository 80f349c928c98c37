#include "testing/trees.h"

#include <unistd.h>

#include <string>
#include <vector>

#include "node/tree.h"
#include "source/sysfs_tree.h"
#include "testing/source.h"
#include "testing/values.h"
#include "view/view.h"

namespace vprocfs {

Napi::Value list_views(const Napi::CallbackInfo& info) {
  constexpr uint32_t kTimes = kNeedCpuReport | kNeedClock | kNeedTasks | kNeedLoad |
                              kNeedPressureCpu | kNeedPressureMemory | kNeedPressureIo |
                              kNeedPressureIrq;
  const ValueMaker maker(info.Env());
  Napi::Array out = Napi::Array::New(info.Env());
  for (const View* view = views_begin(); view != views_end(); ++view) {
    Napi::Object row = maker.object();
    row.Set("index", maker.integer(view->index));
    row.Set("path", maker.text(std::string(view->path)));
    row.Set("mode", maker.integer(view->mode));
    row.Set("changes", view->changes == Changes::kAlways ? "always" : "with-limits");
    row.Set("hasTimes", (view->needs & kTimes) != 0);
    out.Set(out.Length(), row);
  }
  return out;
}

Napi::Value memory_keys(const Napi::CallbackInfo& info) {
  const ValueMaker maker(info.Env());
  Napi::Array out = Napi::Array::New(info.Env());
  const auto add = [&](const char* key, const Napi::Value& v1_key) {
    Napi::Array row = Napi::Array::New(info.Env(), 2);
    row.Set(0u, key);
    row.Set(1u, v1_key);
    out.Set(out.Length(), row);
  };
#define VPROCFS_MEMORY_KEY(key) add(#key, maker.null());
#define VPROCFS_MEMORY_KEY_OF(key, v1_key) add(#key, maker.text(#v1_key));
#include "facts/memory_keys.def"
  return out;
}

Napi::Value tree_paths(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "caseDir");
  if (reader.failed()) return env.Undefined();
  const Tree tree(
      [&dir](const std::string& path) { return ::access((dir + "/" + path).c_str(), F_OK) == 0; });
  std::vector<std::string> paths;
  std::vector<const TreeDir*> left{&tree.top()};
  while (!left.empty()) {
    const TreeDir& at = *left.back();
    left.pop_back();
    for (const TreeEntry& entry : at.entries) {
      paths.push_back(at.path.empty() ? entry.name : at.path + "/" + entry.name);
      const TreeDir* below = entry.view == nullptr ? tree.dir(entry.index) : nullptr;
      if (below != nullptr) left.push_back(below);
    }
  }
  return ValueMaker(env).list(
      paths, [&](const std::string& path) { return Napi::String::New(env, path); });
}

Napi::Value number_paths(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const std::string dir = reader.text(info[0], "sysDir");
  std::vector<std::string> paths;
  reader.each(info[1], "paths",
              [&](Napi::Value value) { paths.push_back(reader.text(value, "path")); });
  if (reader.failed()) return env.Undefined();
  const auto fd = open_directory(dir);
  if (!fd) return throw_error(env, fd.error());
  SysfsTree first(fd.value().get()), second(fd.value().get());
  const ValueMaker maker(env);
  return maker.list(paths, [&](const std::string& path) {
    const auto number = first.number(path);
    Napi::Object row = maker.object();
    row.Set("number", Napi::Number::New(env, number ? static_cast<double>(*number) : -1));
    row.Set("path", number ? second.path(*number).value_or("") : std::string());
    return row;
  });
}

}  // namespace vprocfs
