#pragma once

namespace vprocfs {

/// Whether somebody supervises us and wants to be told (NOTIFY_SOCKET).
bool has_supervisor();

/// sd_notify(3), with a descriptor when `fd` is one. Never blocks. False when it may be tried again
/// later: whoever supervises us has not read what came before. True when nobody does.
bool notify_supervisor(const char* text, int fd = -1);

}  // namespace vprocfs
