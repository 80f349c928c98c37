#pragma once

#include <napi.h>

namespace vprocfs {

/// () -> the files of the view table
Napi::Value list_views(const Napi::CallbackInfo& info);

/// () -> keys of memory.stat that are read: [v2's, v1's or null].
Napi::Value memory_keys(const Napi::CallbackInfo& info);

/// (caseDir) -> every path of the tree that a host has which lacks the files that a recorded one
/// lacks: directories, and below them files.
Napi::Value tree_paths(const Napi::CallbackInfo& info);

/// (sysDir, paths) -> the numbers of paths of a tree of sysfs, and what they lead back to in a tree
/// that has not given them out.
Napi::Value number_paths(const Napi::CallbackInfo& info);

}  // namespace vprocfs
