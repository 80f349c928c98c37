#include "keeper/receipt.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace vprocfs {
namespace {

/// How soon a worker says that it will send a receipt, and how soon it sends it: it needs some
/// milliseconds for each.
constexpr int kFirstWithinMs = 500, kReceiptWithinMs = 5000;

enum class Byte { kCame, kNone, kEnd };

/// After a failure the worker can send none any more: it finds out that nobody reads it.
Byte next_byte(int worker, int within_ms) {
  pollfd p{worker, POLLIN, 0};
  int n = 0;
  do {
    n = ::poll(&p, 1, within_ms);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) ::shutdown(worker, SHUT_RD);
  char byte = 0;
  const ssize_t got = ::recv(worker, &byte, sizeof byte, MSG_DONTWAIT);
  if (got == sizeof byte) return Byte::kCame;
  return n > 0 ? Byte::kEnd : Byte::kNone;
}

}  // namespace

bool is_receipt_given(int worker) {
  const Byte first = next_byte(worker, kFirstWithinMs);
  // One of an earlier version sends no receipt, and waits longer than this for more to come.
  if (first != Byte::kCame) return first == Byte::kNone;
  return next_byte(worker, kReceiptWithinMs) == Byte::kCame;
}

}  // namespace vprocfs
