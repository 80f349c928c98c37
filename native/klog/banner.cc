#include "klog/banner.h"

namespace vprocfs {
namespace {

constexpr uint16_t kNotice = 5, kInfo = 6;

OwnLine line(const BannerFacts& facts, uint16_t priority, std::string text) {
  return {0, facts.time_us, priority, std::move(text)};
}

}  // namespace

std::vector<OwnLine> banner_lines(const BannerFacts& facts) {
  const std::string memory = std::to_string(facts.memory_kb);
  const std::string plural = facts.cpus == 1 ? " CPU" : " CPUs";
  const std::string swap =
      facts.swap_kb == 0 ? "No swap space" : "Adding " + std::to_string(facts.swap_kb) + "k swap";
  return {line(facts, kNotice, "Linux version " + facts.release + " " + facts.version),
          line(facts, kInfo, "smp: Brought up 1 node, " + std::to_string(facts.cpus) + plural),
          line(facts, kInfo, "Memory: " + memory + "K/" + memory + "K available"),
          line(facts, kInfo, swap)};
}

}  // namespace vprocfs
