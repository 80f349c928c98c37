#pragma once

#include <napi.h>

namespace vprocfs {

/// (packet: Buffer) -> what LXC asks; null when it is no request.
Napi::Value read_lxc_request(const Napi::CallbackInfo& info);

/// (key, id, workers, settled) -> the answer to monitor `key` that the last of so many workers,
/// which follow one that died while it gave answer `id`, finds not settled; 0: none. `settled`: the
/// one before it has settled it.
Napi::Value pending_call_after(const Napi::CallbackInfo& info);

/// (arch, nr) -> "sysinfo64", ..., "other"
Napi::Value name_call(const Napi::CallbackInfo& info);

/// ({ uptimeS, loads, total, ... }: bigints, bits) -> the bytes that a caller gets.
Napi::Value encode_sysinfo(const Napi::CallbackInfo& info);

}  // namespace vprocfs
