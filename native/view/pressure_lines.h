#pragma once

#include "facts/pressure.h"
#include "view/writer.h"

namespace vprocfs {

/// The lines of a pressure file (kernel/sched/psi.c, psi_show()), without those that the kernel
/// does not have (`full` for CPUs before 5.13).
void write_pressure(const PressureFacts& facts, Writer& writer);

}  // namespace vprocfs
