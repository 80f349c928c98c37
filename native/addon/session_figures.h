#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "engine/engine.h"

namespace vprocfs {

// What a session tells JavaScript of itself, by the interfaces of these names in
// src/native/session.ts.

/// SessionCounters.
Napi::Object counters_of(Napi::Env env, const Engine& engine);
/// SessionMeasures.
Napi::Object measures_of(Napi::Env env, const Engine& engine);
/// ContainerCounters of those `ids` that live.
Napi::Array containers_of(Napi::Env env, const Engine& engine, const std::vector<std::string>& ids);
/// SessionFeatures.
Napi::Object features_of(Napi::Env env, const Engine& engine);

}  // namespace vprocfs
