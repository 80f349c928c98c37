#pragma once

namespace vprocfs {

/// Takes the code and constants of large programs and libraries, which are those of Node, out of
/// this process's memory: most of them only its start needs. Those that are used again come back
/// from the page cache, and the kernel may now drop the others. Leaves alone what is not as in the
/// file, and does nothing where it cannot find out what is.
void release_program_pages();

}  // namespace vprocfs
