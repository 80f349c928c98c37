#include "view/swap_model.h"
#include "view/view.h"

namespace vprocfs {
namespace {

/// Stands for all swap devices of the node, whose names and sizes are not the container's. It is a
/// path since swapon and swapoff take nothing else; it does not exist, so neither does harm.
constexpr std::string_view kDevice = "/dev/vswap";

/// The kernel gives the first device that is not told otherwise -2 (mm/swapfile.c, least_priority
/// starts at -1 and is decremented before use).
constexpr std::string_view kPriority = "-2";

/// A size in its two tab stops (mm/swapfile.c, swap_show): long ones take both.
void write_size(uint64_t kb, Writer& writer) {
  writer.number(kb).text(kb < 10'000'000 ? "\t\t" : "\t");
}

}  // namespace

/// /proc/swaps (mm/swapfile.c, swap_show).
void render_swaps(const Facts& facts, Writer& writer) {
  writer.text("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
  const SwapModel swap = swap_model(facts);
  if (swap.total_kb == 0) return;
  writer.left(kDevice, 40).text("partition\t");
  write_size(swap.total_kb, writer);
  write_size(swap.used_kb(), writer);
  writer.text(kPriority).ch('\n');
}

}  // namespace vprocfs
