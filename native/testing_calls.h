#pragma once

#include <napi.h>

namespace vprocfs {

/// (packet: Buffer) -> what LXC asks; null when it is no request.
Napi::Value read_lxc_request(const Napi::CallbackInfo& info);

/// (text) -> which descriptor is the notify descriptor; "more" or "malformed".
Napi::Value read_oci_state(const Napi::CallbackInfo& info);

/// (arch, nr) -> "sysinfo64", ..., "other"
Napi::Value name_call(const Napi::CallbackInfo& info);

/// ({ uptimeS, loads, total, ... }: bigints, bits) -> the bytes that a caller gets.
Napi::Value encode_sysinfo(const Napi::CallbackInfo& info);

}  // namespace vprocfs
