#pragma once

namespace vprocfs {

/// Whether somebody supervises us and wants to be told (NOTIFY_SOCKET).
bool has_supervisor();

/// sd_notify(3), with a descriptor if `fd` is one. Never blocks. False if it should be tried again
/// later, because the supervisor has not read earlier messages or memory is short. True if there is
/// no supervisor.
bool notify_supervisor(const char* text, int fd = -1);

}  // namespace vprocfs
