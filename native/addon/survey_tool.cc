#include "addon/survey_tool.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mutex>
#include <utility>

#include "addon/arguments.h"
#include "addon/js_error.h"
#include "addon/run_on_thread.h"
#include "addon/session.h"
#include "addon/to_js.h"
#include "container/host.h"
#include "container/name.h"
#include "survey/inside.h"
#include "survey/surveyor.h"

namespace vprocfs {
namespace {

// Readers come first: a survey may take a little longer.
constexpr int kNice = 5;
// More than any file of ours has.
constexpr size_t kMaxInsideBytes = size_t{4} << 20;

/// Names are bytes; what is not UTF-8 becomes U+FFFD, as Node does it.
Napi::Object to_js(Napi::Env env, const Survey& survey) {
  Napi::Array containers = Napi::Array::New(env, survey.rows.size());
  auto figures = Napi::Float64Array::New(env, survey.rows.size() * kFigureCount);
  size_t at = 0;
  for (size_t i = 0; i < survey.rows.size(); ++i) {
    const SurveyRow& row = survey.rows[i];
    const ContainerName name = container_name(row.cgroup, row.tenant_cgroup);
    JsObject one(env);
    one.set("id", row.id.name())
        .set("name", name.name)
        .set("runtime", name.runtime)
        .set("cgroup", row.cgroup)
        .set("init", row.init)
        .set("lastVictim", row.last_victim);
    containers.Set(static_cast<uint32_t>(i), Napi::Object(one));
    for (const double value : row.figures.values()) figures[at++] = value;
  }
  return JsObject(env)
      .set("containers", containers)
      .set("figures", figures)
      .set("tookSeconds", static_cast<double>(survey.took_us) / 1e6)
      .set("failed", survey.failed)
      .set("leftOut", survey.left_out)
      .set("readsLog", survey.reads_log);
}

}  // namespace

struct SurveyObject::State {
  std::mutex mutex;
  std::unique_ptr<Host> host;
  std::unique_ptr<HostSource> source;
  std::unique_ptr<Surveyor> surveyor;
};

Napi::Function SurveyObject::define(Napi::Env env) {
  Napi::Function constructor =
      DefineClass(env, "Surveyor",
                  {InstanceMethod<&SurveyObject::take>("take"),
                   InstanceMethod<&SurveyObject::read_inside>("readInside")});
  constructor.Set("figures", to_js_list(env, kFigureNames));
  return constructor;
}

SurveyObject::SurveyObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SurveyObject>(info) {
  const Napi::Env env = info.Env();
  const bool fits = info[0].IsString() && info[1].IsString() && info[2].IsString();
  if (!expect(env, fits, "fsType, source and killsFile must be strings")) return;
  std::shared_ptr<LogReader> kills;
  if (!info[3].IsUndefined()) {
    const auto of_session = SessionObject::kills_of(env, info[3]);
    if (!expect(env, of_session.has_value(), "session must be a Session")) return;
    kills = *of_session;
  }
  auto state = std::make_shared<State>();
  auto host = Host::open();
  if (!host) {
    to_js_error(env, host.error()).ThrowAsJavaScriptException();
    return;
  }
  state->host = std::move(host.value());
  // One reading of the host's files serves a whole survey.
  state->source = std::make_unique<HostSource>(state->host->procfs.get(), state->host->sysfs.get(),
                                               uint64_t{500000});
  state->surveyor = std::make_unique<Surveyor>(
      Surveyor::Sources{&state->host->mounts, state->host->resolver.get(), state->source.get(),
                        state->host->procfs.get(), info[0].As<Napi::String>().Utf8Value(),
                        info[1].As<Napi::String>().Utf8Value(),
                        info[2].As<Napi::String>().Utf8Value(), std::move(kills)});
  state_ = std::move(state);
}

Napi::Value SurveyObject::take(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto survey = [state = state_]() mutable -> Result<std::shared_ptr<Survey>> {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNice);
    auto found = std::make_shared<Survey>();
    {
      const std::lock_guard lock(state->mutex);
      *found = state->surveyor->take();
    }
    state.reset();
    return found;
  };
  return run_on_thread(
      env, "vprocfs-survey", survey,
      [](Napi::Env e, const std::shared_ptr<Survey>& found) { return to_js(e, *found); });
}

Napi::Value SurveyObject::read_inside(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool fits =
      info[0].IsNumber() && info[1].IsString() && info[2].IsString() && info[3].IsString();
  if (!expect(env, fits, "pid must be a number, path and devices strings")) return env.Undefined();
  const int pid = info[0].As<Napi::Number>().Int32Value();
  const auto text_of = [&info](size_t i) { return info[i].As<Napi::String>().Utf8Value(); };
  const vprocfs::MountedFile wanted{text_of(1), text_of(2), text_of(3)};
  // A thread of its own: it goes by the owner of the container's root, and waits for the mount.
  const auto read = [state = state_, pid, wanted]() mutable {
    auto text = vprocfs::read_inside(state->host->procfs.get(), pid, wanted, kMaxInsideBytes);
    state.reset();
    return text;
  };
  return run_on_thread(env, "vprocfs-inside", read, [](Napi::Env e, const std::string& text) {
    return Napi::String::New(e, text);
  });
}

}  // namespace vprocfs
