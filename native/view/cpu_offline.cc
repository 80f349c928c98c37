#include "view/view.h"

namespace vprocfs {

/// /sys/devices/system/cpu/offline (drivers/base/cpu.c): no CPU of this machine is offline.
void render_cpu_offline(const Facts& facts, Writer& writer) {
  static_cast<void>(facts);
  writer.ch('\n');
}

}  // namespace vprocfs
