#pragma once

#include <cstddef>
#include <string>

namespace vprocfs {

/// Keeps the length of a file the same from snapshot to snapshot, for readers that get it out of
/// the page cache: a length that changes under them would cut or mix what they read.
///
/// `text` is filled up to `length` with blanks at the end of its last line that is not empty, which
/// no parser of these files minds. When it does not fit, or `length` is 0, a new length with room
/// to grow is chosen; when it has become less than half of `length` likewise. Returns the length
/// that `text` now has. `fixed`: the file's own widths keep its length, so no room is added.
size_t stabilise(std::string& text, size_t length, bool fixed);

}  // namespace vprocfs
