#include "fuse/counters.h"

#include <linux/fuse.h>

namespace vprocfs {

const char* opcode_name(uint32_t opcode) {
  switch (opcode) {
    case FUSE_LOOKUP:
      return "LOOKUP";
    case FUSE_FORGET:
      return "FORGET";
    case FUSE_GETATTR:
      return "GETATTR";
    case FUSE_SETATTR:
      return "SETATTR";
    case FUSE_READLINK:
      return "READLINK";
    case FUSE_OPEN:
      return "OPEN";
    case FUSE_READ:
      return "READ";
    case FUSE_WRITE:
      return "WRITE";
    case FUSE_STATFS:
      return "STATFS";
    case FUSE_RELEASE:
      return "RELEASE";
    case FUSE_FLUSH:
      return "FLUSH";
    case FUSE_INIT:
      return "INIT";
    case FUSE_OPENDIR:
      return "OPENDIR";
    case FUSE_READDIR:
      return "READDIR";
    case FUSE_RELEASEDIR:
      return "RELEASEDIR";
    case FUSE_ACCESS:
      return "ACCESS";
    case FUSE_INTERRUPT:
      return "INTERRUPT";
    case FUSE_IOCTL:
      return "IOCTL";
    case FUSE_POLL:
      return "POLL";
    case FUSE_BATCH_FORGET:
      return "BATCH_FORGET";
    case FUSE_LSEEK:
      return "LSEEK";
    default:
      return nullptr;
  }
}

void CounterSums::add(const Counters& counters) {
  for (size_t i = 0; i < requests.size(); ++i) requests[i] += counters.requests[i];
  renders += counters.renders;
  shared += counters.shared;
  errors += counters.errors;
  source_errors += counters.source_errors;
  refused_opens += counters.refused_opens;
  deferred += counters.deferred;
  paced += counters.paced;
  resent += counters.resent;
}

}  // namespace vprocfs
