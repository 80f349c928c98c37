#include "addon/survey_tool.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mutex>
#include <utility>

#include "addon/run_on_thread.h"
#include "addon/session.h"
#include "base/attempts.h"
#include "container/host.h"
#include "container/name.h"
#include "survey/inside.h"
#include "survey/surveyor.h"

namespace vprocfs {
namespace {

constexpr int kNice = 5;
constexpr uint64_t kAttemptUs = 500'000;
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
        .set("tenant", row.tenant.name())
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
      .set("readsLog", survey.reads_log)
      .set("endedKills", survey.ended_kills);
}

/// Readers come first: a survey may take a little longer.
void go_last() { ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNice); }

}  // namespace

struct SurveyObject::State {
  ~State() {
    if (attempts->end()) return;
    // A container keeps one of the threads from ending, which may use all of these.
    static_cast<void>(surveyor.release());
    static_cast<void>(source.release());
    static_cast<void>(host.release());
    static_cast<void>(attempts.release());
  }

  std::mutex mutex;
  std::unique_ptr<Host> host;
  std::unique_ptr<HostSource> source;
  std::unique_ptr<Attempts> attempts = std::make_unique<Attempts>(go_last, kAttemptUs);
  std::unique_ptr<Surveyor> surveyor;
};

Napi::Function SurveyObject::define(Napi::Env env) {
  using S = SurveyObject;
  Napi::Function constructor = DefineClass(
      env, "Surveyor", {method<&S::take>("take"), method<&S::read_inside>("readInside")});
  constructor.Set("figures", list_of(env, kFigureNames, [env](const char* name) {
                    return Napi::String::New(env, name);
                  }));
  return constructor;
}

SurveyObject::SurveyObject(const Napi::CallbackInfo& info) : Wrapped(info) {
  const Napi::Env env = info.Env();
  const auto given = arguments<std::string, std::string, std::string, bool>(info);
  if (!given) return;
  const auto& [type, source, totals, keeps_totals] = *given;
  std::shared_ptr<LogReader> kills;
  if (!info[4].IsUndefined()) {
    const auto of_session = SessionObject::kills_of(env, info[4]);
    if (!of_session) {
      Given{env, info[4], "session"}.wrong("a Session");
      return;
    }
    kills = *of_session;
  }
  auto state = std::make_shared<State>();
  auto host = Host::open();
  if (!host) {
    throw_error(env, host.error());
    return;
  }
  state->host = std::move(host.value());
  // One reading of the host's files serves a whole survey.
  state->source = std::make_unique<HostSource>(state->host->procfs.get(), state->host->sysfs.get(),
                                               uint64_t{500000});
  state->surveyor = std::make_unique<Surveyor>(
      Surveyor::Sources{&state->host->mounts, state->host->resolver.get(), state->source.get(),
                        state->host->procfs.get(), type, source, totals, keeps_totals,
                        std::move(kills), state->attempts.get()});
  // Without threads whoever asks for a survey may have to wait.
  static_cast<void>(state->attempts->start());
  state_ = std::move(state);
}

Napi::Value SurveyObject::take() {
  const auto survey = [state = state_]() mutable -> Result<std::shared_ptr<Survey>> {
    go_last();
    auto found = std::make_shared<Survey>();
    {
      const std::lock_guard lock(state->mutex);
      *found = state->surveyor->take();
    }
    state.reset();
    return found;
  };
  return run_on_thread(
      Env(), "vprocfs-survey", survey,
      [](Napi::Env e, const std::shared_ptr<Survey>& found) { return to_js(e, *found); });
}

Napi::Value SurveyObject::read_inside(int32_t pid, const std::string& path,
                                      const std::string& device, const std::string& directory) {
  const MountedFile wanted{path, device, directory};
  // A thread of its own: it goes by the owner of the container's root, and waits for the mount.
  const auto read = [state = state_, pid, wanted]() mutable {
    auto text = vprocfs::read_inside(state->host->procfs.get(), pid, wanted, kMaxInsideBytes);
    state.reset();
    return text;
  };
  return run_on_thread(Env(), "vprocfs-inside", read, [](Napi::Env e, const std::string& text) {
    return Napi::String::New(e, text);
  });
}

}  // namespace vprocfs
