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
/// Whether there are containers among these for find_containers().
bool has_unknown(const Engine& engine, const std::vector<std::string>& ids,
                 const std::vector<int32_t>& inits);
/// Finds those containers of which nobody has asked yet, so that containers_of() tells of them; as
/// many as it can before long. `inits`: 0: not known. May wait for half a second.
void find_containers(const Engine& engine, const std::vector<std::string>& ids,
                     const std::vector<int32_t>& inits);
/// ContainerCounters of those `ids` that are known.
Napi::Array containers_of(Napi::Env env, const Engine& engine, const std::vector<std::string>& ids);
/// SessionFeatures.
Napi::Object features_of(Napi::Env env, const Engine& engine);

}  // namespace vprocfs
