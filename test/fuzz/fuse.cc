// Requests of any kind and length to a whole engine, through a socket in the place of /dev/fuse: a
// request is one packet, and so is its answer. Every answer is well formed, and names a request.

#include <linux/fuse.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "fuse/protocol.h"
#include "input.h"
#include "node/node_id.h"
#include "state/state_file.h"

using namespace vprocfs;

namespace {

/// The engine and the kernel's end of its connection. Lives as long as the program.
struct Kernel {
  Fd end;
  Fd state;
  Engine* engine = nullptr;
  uint64_t unique = 0;
};

Kernel start() {
  Kernel kernel;
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) std::abort();
  kernel.end = Fd(pair[0]);
  auto memory = StateFile::make_memfd();
  if (!memory) std::abort();
  kernel.state = std::move(memory.value());
  ConnectionState negotiated;
  negotiated.initialised = 1;
  negotiated.kernel_major = FUSE_KERNEL_VERSION;
  negotiated.kernel_minor = FUSE_KERNEL_MINOR_VERSION;
  negotiated.flags = negotiated.kernel_flags = kFuseHasResend;
  {
    std::string ignored;
    auto state = StateFile::open(kernel.state.get(), &ignored);
    if (!state) std::abort();
    state.value()->set_connection(negotiated);
  }
  EngineOptions options;
  options.plain = {"/nonexistent", pair[1], kernel.state.get()};
  options.bpf = false;
  kernel.engine = new Engine(
      options, [](const std::string&) {}, nullptr, [] {});
  if (!kernel.engine->prepare() || !kernel.engine->activate(nullptr)) {
    std::fprintf(stderr, "the engine does not start: run as root\n");
    std::abort();
  }
  return kernel;
}

NodeId node_of(fuzz::Input& input) {
  const auto which = input.number<uint8_t>();
  const auto index = static_cast<NodeIndex>(which % 64);
  switch (which / 64) {
    case 0:
      return NodeId(ContainerId(), index);
    case 1:
      return NodeId(ContainerId(), static_cast<NodeIndex>(kFirstFileIndex + index));
    case 2: {
      static const char* const kDirectories[] = {"proc",
                                                 "sys",
                                                 "proc/pressure",
                                                 "sys/devices",
                                                 "sys/devices/system",
                                                 "sys/devices/system/cpu"};
      return NodeId(ContainerId(), Tree::dir_index(kDirectories[index % 6]));
    }
    default:
      return NodeId(input.number<uint64_t>());
  }
}

bool answered(uint32_t opcode) {
  return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT &&
         opcode != FUSE_NOTIFY_REPLY;
}

/// Waits for the answer to one request.
void expect(const Kernel& kernel, uint64_t unique) {
  static std::vector<uint8_t> answer(size_t{2} << 20);
  for (;;) {
    pollfd p{kernel.end.get(), POLLIN, 0};
    if (::poll(&p, 1, 20000) <= 0) {
      std::fprintf(stderr, "a request was not answered\n");
      std::abort();
    }
    const ssize_t n = ::recv(kernel.end.get(), answer.data(), answer.size(), 0);
    if (n < static_cast<ssize_t>(sizeof(fuse_out_header))) std::abort();
    fuse_out_header header;
    std::memcpy(&header, answer.data(), sizeof header);
    if (header.len != static_cast<size_t>(n)) std::abort();
    if (header.unique == 0) continue;  // a notice
    if (header.error > 0 || header.error <= -1000) std::abort();
    if (header.error != 0 && header.len != sizeof header) std::abort();
    if (header.unique == unique) return;
    if (header.unique > unique) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static Kernel& kernel = *new Kernel(start());
  fuzz::Input input(bytes, size);
  for (int requests = 0; requests < 16 && !input.empty(); ++requests) {
    fuse_in_header header{};
    header.opcode = input.number<uint8_t>() % 60;
    // A second INIT would change what was negotiated, DESTROY comes once.
    if (header.opcode == FUSE_INIT || header.opcode == FUSE_DESTROY) continue;
    header.nodeid = node_of(input).raw();
    const auto caller = input.number<uint8_t>();
    header.uid = (caller & 1) != 0 ? 1000 : 0;
    header.pid = (caller & 2) != 0 ? 0 : static_cast<uint32_t>(::getpid());
    header.unique = kernel.unique += 2;
    const std::string_view payload = input.text(input.number<uint8_t>());
    header.len = static_cast<uint32_t>(sizeof header + payload.size());
    std::string packet(reinterpret_cast<const char*>(&header), sizeof header);
    packet.append(payload);
    if (::send(kernel.end.get(), packet.data(), packet.size(), 0) < 0) std::abort();
    if (answered(header.opcode)) expect(kernel, header.unique);
  }
  return 0;
}
