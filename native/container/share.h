#pragma once

#include <cstdint>
#include <vector>

namespace vprocfs {

/// Splits `amount` in proportion to `weights`, evenly where all are 0. The parts add up to `amount`
/// exactly (but are none when there are no weights), a part of weight 0 is 0, and where `amount` is
/// at most the sum of the weights, no part is larger than its weight (sums below 2^64).
std::vector<uint64_t> split(uint64_t amount, const std::vector<uint64_t>& weights);

}  // namespace vprocfs
