#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "base/descriptors.h"
#include "base/write_text.h"
#include "keeper/call_passthrough.h"
#include "keeper/connection.h"
#include "keeper/fd_store_table.h"
#include "keeper/launch.h"
#include "keeper/log.h"
#include "keeper/memo.h"
#include "keeper/options.h"
#include "keeper/place_lock.h"
#include "keeper/refuse_all.h"
#include "keeper/store.h"
#include "keeper/supervisor.h"

namespace {

/// How long readers get errors until the service manager starts us again, as HOLD_MS of
/// src/keeper.ts.
constexpr uint32_t kHoldMs = 5000;

/// No descriptor of ours may become 0, 1 or 2: what is printed would go to the kernel.
bool occupy_standard_descriptors() {
  for (;;) {
    const int fd = ::open("/dev/null", O_RDWR);
    if (fd < 0) return false;
    if (fd <= STDERR_FILENO) continue;
    ::close(fd);
    return true;
  }
}

/// From now on: a signal that came while we mount would leave the mount behind, dead.
void block_signals() {
  const sigset_t set = vprocfs::keeper_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

/// A path that means the same in every directory. Not what /proc says of us when we were given one:
/// the program to become later is what has been put there by then.
void make_absolute(char** argv) {
  static char path[PATH_MAX];
  if (argv[0][0] == '/') return;
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (n > 0) argv[0] = path;
}

/// True: it is somebody who has found the program and asks what it is.
bool tells_help(int argc, char** argv) {
  if (argc != 2) return false;
  if (std::strcmp(argv[1], "--help") != 0 && std::strcmp(argv[1], "-h") != 0) return false;
  std::puts(
      "vprocfs-keeper holds the mount of a running vprocfs, which starts it: see vprocfs --help");
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace vprocfs;
  KeeperOptions options;
  if (!occupy_standard_descriptors()) return 1;
  if (tells_help(argc, argv)) return 0;
  make_absolute(argv);
  if (!parse_options(argc, argv, options)) return 2;
  if (options.launch) {
    const int status = launch(options);
    if (offered_as({StoreKind::kFuse}) < 0) return status;
    // Readers must not wait for a program that cannot be executed, or ends each time.
    options.hold_ms = kHoldMs;
  }
  if (options.hold_ms != 0) {
    block_signals();
    return refuse_all(options);
  }
  Resume earlier;
  const Inherited inherited = read_resume(earlier);
  if (inherited == Inherited::kUnknown) {
    keeper_log(options.log, LogLevel::kError, "cannot take over from a keeper of another version");
    return 1;
  }
  if (options.check) return 0;
  clear_resume();
  block_signals();
  // Readers of every container depend on us: the last process to go when memory is short.
  write_text(AT_FDCWD, "/proc/self/oom_score_adj", "-1000");
  raise_descriptor_limit();  // One for each container that hands over system calls.
  PlaceLock lock(options);   // One that an earlier self had ended with execve(2).
  static Store store;        // Large, and the stack is small.
  store.receive();
  Memo memo;
  Launch launched;
  Connection plain = connection_of(options, Connection::kPlain);
  Connection polled = connection_of(options, Connection::kPolled);
  const bool resumes = inherited == Inherited::kAll;
  const bool known = memo.open(resumes ? Fd(earlier.memo_fd) : store.take({StoreKind::kMemo}));
  const bool offered = store.offers({StoreKind::kFuse});
  bool adopted = false;
  if (resumes) {
    take_over(earlier, plain);
    plain.negotiated.polled_elsewhere =
        memo.record().connections[Connection::kPlain].negotiated.polled_elsewhere;
    take_over_polled(earlier, memo.record(), polled);
  } else {
    adopted = adopt(options, store, memo, plain);
    // Nobody looked whether there is room: what was offered was to be gone on with.
    if (!adopted && offered && !is_free(plain)) {
      store.drop_offered();
      keeper_log(options.log, LogLevel::kError, "%s: something is mounted here",
                 options.mountpoint);
      return 1;
    }
    adopt(options, store, memo, polled);
    // Who goes on with a mount has it, whoever else is being started.
    const bool taken = !adopted && lock.is_taken();
    if (taken) {
      keeper_log(options.log, LogLevel::kError, "%s: another vprocfs is started or serves here",
                 options.mountpoint);
    }
    if (!adopted && (taken || !connect(options, plain))) {
      if (polled.made()) disconnect(options, polled);
      // Made for us, and of no use to anybody.
      if (options.polled != nullptr && !taken) ::rmdir(options.polled);
      store.drop_offered();
      store.remove({StoreKind::kMemo});
      return 1;
    }
  }
  if (!known && !memo.open(Fd())) {
    keeper_log(options.log, LogLevel::kWarn, "no memory for the next keeper: %s",
               std::strerror(errno));
  }
  // A worker that goes on does not serve what it does not have.
  if (!polled.made() && !resumes) make_polled(options, polled);
  if (polled.made()) plain.negotiated.polled_elsewhere = 1;
  const bool goes_on =
      launched.open(resumes ? Fd(earlier.launch_fd) : store.take({StoreKind::kLaunch}));
  // What another version left is not ours to read.
  if (!goes_on) launched.open(Fd());
  launched.write(options);
  FdStoreTable fd_store;
  // Without one nothing outlives workers in it, and they serve all the same.
  if (!fd_store.open(earlier.fd_store_fd)) {
    keeper_log(options.log, LogLevel::kWarn, "no memory for descriptors of workers: %s",
               std::strerror(errno));
  }
  fd_store.outlive(false);
  fd_store.attach(store);
  store.drop_offered();
  keep(plain, options, memo, store);
  if (polled.made()) keep(polled, options, memo, store);
  store.put({StoreKind::kMemo}, memo.fd());
  store.put({StoreKind::kLaunch}, launched.fd());
  Supervisor supervisor(options, {plain, polled, fd_store, memo, store, launched});
  if (resumes) supervisor.resume(earlier);
  if (adopted) supervisor.succeed(memo.record());
  const int status = supervisor.run();
  // Before anything that may live on.
  lock.release();
  if (!supervisor.left()) leave_passthrough(options, fd_store);
  return status;
}
