#pragma once

#include <napi.h>

namespace vprocfs {

/// (caseDir, path, init, nowUs) -> the text of a file in the container of a recorded host
Napi::Value render_fixture(const Napi::CallbackInfo& info);

/// (caseDir, path, init, nowUs) -> the names in a mirrored directory of it
Napi::Value list_fixture(const Napi::CallbackInfo& info);

/// (caseDir, init, nowUs) -> struct sysinfo as a 64-bit process of the container gets it.
Napi::Value sysinfo_fixture(const Napi::CallbackInfo& info);

/// (caseDir, init) -> the figures of its cgroups that no file under /proc needs.
Napi::Value cgroup_figures(const Napi::CallbackInfo& info);

}  // namespace vprocfs
