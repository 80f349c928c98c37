// What runtimes tell the hook. The first byte chooses which.

#include "attach/hook.h"
#include "input.h"

using namespace vprocfs;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  fuzz::Input input(bytes, size);
  const bool oci = (input.number<uint8_t>() & 1) == 0;
  const std::string_view text = input.rest();
  if (oci) {
    static_cast<void>(parse_oci_state(text));
  } else {
    static_cast<void>(lxc_config_excludes(text));
  }
  return 0;
}
