// A FUSE server that does nothing but answer, with the flags that vprocfs answers with: what a read
// costs that makes the same round trips.
//
//   floor [--reads] [--tick] MOUNTPOINT FILE...
//
// serves the bytes that the files have now, under their last names, until it is ended. With --reads
// it also reads what each file would be made from: what no daemon can do without whose figures are
// fresh. With --tick, files come from the page cache and are valid for a tick, as in the contract,
// and each caller has files of its own, as each container has there.

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sources.h"

namespace vprocfs_bench {
namespace {

constexpr uint64_t kHasResend = uint64_t{1}
                                << 39;  // FUSE_HAS_RESEND, newer than Debian 12's header
constexpr size_t kRequestBytes = 64 * 1024;
constexpr uint32_t kMaxWrite = 4096;
constexpr uint64_t kValidSeconds = 3600;
constexpr uint32_t kTickNs = 10'000'000;  // the default of --tick-ms
/// As many as vprocfs has while none of them blocks, and as far before others.
constexpr int kThreads = 2, kNice = -10;

struct File {
  std::string name, bytes;
};

struct Options {
  bool reads = false;
  bool tick = false;
};

class Floor {
 public:
  Floor(int fd, std::vector<File> files, Options options)
      : fd_(fd), files_(std::move(files)), options_(options) {}

  /// Until the mount is gone.
  void run() {
    setpriority(PRIO_PROCESS, 0, kNice);  // of this thread
    std::vector<uint64_t> buffer(kRequestBytes / sizeof(uint64_t));
    for (;;) {
      const ssize_t n = read(fd_, buffer.data(), kRequestBytes);
      if (n >= static_cast<ssize_t>(sizeof(fuse_in_header))) {
        answer(reinterpret_cast<const char*>(buffer.data()));
      } else if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT) {
        return;
      }
    }
  }

 private:
  void send(const fuse_in_header& to, int error, const void* bytes, size_t size) const {
    fuse_out_header header{};
    header.len = static_cast<uint32_t>(sizeof(header) + size);
    header.error = error;
    header.unique = to.unique;
    const iovec parts[2] = {{&header, sizeof(header)}, {const_cast<void*>(bytes), size}};
    // Who asked may be gone.
    if (writev(fd_, parts, size == 0 ? 1 : 2) < 0) return;
  }

  template <typename T>
  void send(const fuse_in_header& to, const T& what) const {
    send(to, 0, &what, sizeof(what));
  }

  void answer(const char* request) {
    const auto& in = *reinterpret_cast<const fuse_in_header*>(request);
    const char* argument = request + sizeof(in);
    switch (in.opcode) {
      case FUSE_INIT:
        return initialise(in, *reinterpret_cast<const fuse_init_in*>(argument));
      case FUSE_LOOKUP:
        return look_up(in, argument);
      case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr = attributes(in.nodeid);
        if (in.nodeid != FUSE_ROOT_ID) out.attr_valid_nsec = begin_tick(in, in.nodeid, out.attr);
        return send(in, out);
      }
      case FUSE_OPEN: {
        if (options_.tick) return send(in, -ENOSYS, nullptr, 0);
        prepare(in, in.nodeid);
        fuse_open_out out{};
        out.open_flags = FOPEN_DIRECT_IO;
        return send(in, out);
      }
      case FUSE_READ: {
        const auto& read = *reinterpret_cast<const fuse_read_in*>(argument);
        const std::string_view whole = file(in.nodeid).bytes;
        const auto part = whole.substr(std::min<uint64_t>(read.offset, whole.size()), read.size);
        return send(in, 0, part.data(), part.size());
      }
      case FUSE_RELEASE:
        return send(in, 0, nullptr, 0);
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        return;
      default:
        return send(in, -ENOSYS, nullptr, 0);
    }
  }

  /// What a daemon does first that makes a file.
  void prepare(const fuse_in_header& in, uint64_t node) {
    if (options_.reads) sources_.read_for(in.pid, file(node).name);
  }

  /// How long, in ns, what a caller is told of a file is valid. The pages are of an earlier moment.
  uint32_t begin_tick(const fuse_in_header& in, uint64_t node, fuse_attr& attributes) {
    if (!options_.tick) return 0;
    prepare(in, node);
    attributes.mtimensec = ++moment_ % 1'000'000'000;
    return kTickNs;
  }

  void initialise(const fuse_in_header& to, const fuse_init_in& in) const {
    const uint64_t offered = in.flags | uint64_t{in.flags2} << 32;
    const uint64_t for_tick = options_.tick ? FUSE_NO_OPEN_SUPPORT | FUSE_AUTO_INVAL_DATA : 0;
    const uint64_t flags = offered & (for_tick | FUSE_PARALLEL_DIROPS | FUSE_ATOMIC_O_TRUNC |
                                      FUSE_MAX_PAGES | FUSE_INIT_EXT | kHasResend);
    fuse_init_out out{};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = FUSE_KERNEL_MINOR_VERSION;
    out.max_readahead = in.max_readahead;
    out.flags = static_cast<uint32_t>(flags);
    out.flags2 = static_cast<uint32_t>(flags >> 32);
    out.max_background = out.congestion_threshold = UINT16_MAX;
    out.max_write = kMaxWrite;
    out.time_gran = 1;
    out.max_pages = 256;
    send(to, out);
  }

  void look_up(const fuse_in_header& to, const char* name) {
    // Bound into containers the files would be looked up once; the answer to this takes the place
    // of the one to GETATTR.
    const uint64_t callers = options_.tick ? to.pid : 0;
    for (uint64_t i = 0; i < files_.size(); ++i) {
      if (files_[i].name != name) continue;
      fuse_entry_out out{};
      out.nodeid = FUSE_ROOT_ID + 1 + i + callers * files_.size();
      out.entry_valid = options_.tick ? 0 : kValidSeconds;
      out.attr = attributes(out.nodeid);
      out.attr_valid_nsec = begin_tick(to, out.nodeid, out.attr);
      return send(to, out);
    }
    send(to, -ENOENT, nullptr, 0);
  }

  const File& file(uint64_t node) const {
    return files_[(node - FUSE_ROOT_ID - 1) % files_.size()];
  }

  fuse_attr attributes(uint64_t node) const {
    fuse_attr out{};
    out.ino = node;
    out.nlink = 1;
    out.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0555 : S_IFREG | 0444;
    out.size = node == FUSE_ROOT_ID ? 0 : file(node).bytes.size();
    return out;
  }

  const int fd_;
  const std::vector<File> files_;
  const Options options_;
  std::atomic<uint32_t> moment_{0};
  Sources sources_;
};

File read_whole(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path).rdbuf();
  return {path.substr(path.rfind('/') + 1), bytes.str()};
}

int run(int argc, char** argv) {
  Options options;
  int first = 1;
  for (; first < argc && argv[first][0] == '-'; ++first) {
    const std::string_view option = argv[first];
    options.reads = options.reads || option == "--reads";
    options.tick = options.tick || option == "--tick";
  }
  if (argc < first + 2) {
    std::fputs("floor: [--reads] [--tick] MOUNTPOINT FILE...\n", stderr);
    return 2;
  }
  std::vector<File> files;
  for (int i = first + 1; i < argc; ++i) files.push_back(read_whole(argv[i]));
  const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  const std::string mount_options =
      "fd=" + std::to_string(fd) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
  const auto flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (fd < 0 || mount("floor", argv[first], "fuse.floor", flags, mount_options.c_str()) != 0) {
    std::fprintf(stderr, "floor: %s: %s\n", argv[first], std::strerror(errno));
    return 1;
  }
  Floor floor(fd, std::move(files), options);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([&floor] { floor.run(); });
  for (std::thread& thread : threads) thread.join();
  return 0;
}

}  // namespace
}  // namespace vprocfs_bench

int main(int argc, char** argv) { return vprocfs_bench::run(argc, argv); }
