// JSON that runtimes hand to the daemon and to hooks, and what we make of any bytes.

#include <cstdlib>
#include <string>

#include "base/json.h"
#include "base/json_writer.h"

using namespace vprocfs;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  static_cast<void>(read_json(text, [](const JsonLeaf&) {}));
  // What we write ourselves has to be JSON whatever went in.
  std::string written;
  JsonWriter(written).begin_array().text(text).text("").end_array();
  size_t leaves = 0;
  const bool read = read_json(written, [&](const JsonLeaf&) { ++leaves; });
  if (!read || leaves != 2) std::abort();
  return 0;
}
