#pragma once

#include <string>
#include <vector>

#include "node/tree.h"

namespace vprocfs {

/// What list_tree() of the attach helper would find in every container's tree, as lines of its
/// settings file (see Options::files): with them it need not ask for one directory after the other
/// while a container starts. `polled`: the tree of the second mount; nullptr where there is none.
std::vector<std::string> tree_lines(const Tree& tree, const Tree* polled);

}  // namespace vprocfs
