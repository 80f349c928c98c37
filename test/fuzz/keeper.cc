// Packets from a worker that went mad, to the keeper: of any length, of any type, with and without
// descriptors.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/descriptors.h"
#include "input.h"
#include "keeper/fd_store_table.h"
#include "keeper/worker.h"

using namespace vprocfs;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return 0;
  const Fd end(pair[1]);
  Worker worker;
  worker.pid = 1;
  worker.control = Fd(pair[0]);
  // A keeper has one for its life: each maps its table.
  static FdStoreTable& fd_store = *new FdStoreTable;
  static const bool is_open = fd_store.open(-1);
  if (!is_open) std::abort();
  std::vector<uint64_t> kept;
  fuzz::Input input(bytes, size);
  while (!input.empty()) {
    const bool with_descriptor = (input.number<uint8_t>() & 1) != 0;
    const std::string_view text = input.text(input.number<uint8_t>());
    const Fd some(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const int fd = some.get();
    if (send_with(end.get(), text.data(), text.size(), &fd, with_descriptor ? 1 : 0, 0) < 0) break;
    KeeperPacket packet;
    Fd descriptor;
    if (!worker.receive(packet, descriptor)) continue;
    packet.why[sizeof(packet.why) - 1] = '\0';
    if (std::strlen(packet.why) >= sizeof(packet.why)) std::abort();
    switch (static_cast<KeeperMessage>(packet.type)) {
      case KeeperMessage::kStoreFd:
        if (descriptor) {
          fd_store.keep(packet.requests, static_cast<FdKind>(packet.serving),
                        std::move(descriptor));
        }
        kept.push_back(packet.requests);
        break;
      case KeeperMessage::kRemoveFd:
        fd_store.forget(packet.requests);
        break;
      case KeeperMessage::kListFds:
        fd_store.send(worker.control.get(), packet.requests);
        break;
      default:
        break;
    }
    if (fd_store.size() > FdStoreTable::kCapacity) std::abort();
  }
  for (const uint64_t key : kept) fd_store.forget(key);
  if (fd_store.size() != 0) std::abort();
  return 0;
}
