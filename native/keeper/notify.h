#pragma once

namespace vprocfs {

/// sd_notify(3): tells whoever supervises us, if it wants to know (NOTIFY_SOCKET). Never blocks.
void notify_supervisor(const char* text);

}  // namespace vprocfs
