#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>

#include "fuse/files/snapshot_files.h"
#include "source/process_status.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxTrigger = 32;  // psi_write(), kernel/sched/psi.c
constexpr unsigned kUnprivilegedWindowUs = 2000000;
constexpr unsigned kCapSysResource = 24;

/// Whether the effective capabilities in /proc/<tid>/status have CAP_SYS_RESOURCE, in whatever user
/// namespace: psi_trigger_create() asks no more either.
bool may_use_resources(std::string_view status) {
  return (status_mask(status, "CapEff").value_or(0) >> kCapSysResource & 1) != 0;
}

/// The window of a trigger in µs; 0 where there is none, which the kernel refuses.
unsigned window_of(const std::string& text) {
  unsigned threshold = 0, window = 0;
  const bool good = std::sscanf(text.c_str(), "some %u %u", &threshold, &window) == 2 ||
                    std::sscanf(text.c_str(), "full %u %u", &threshold, &window) == 2;
  return good ? window : 0;
}

}  // namespace

Answer SnapshotFiles::write(const Request& r) {
  const auto* in = r.arg<fuse_write_in>();
  const NodeId node = node_of(r);
  if (!takes_triggers(*parts_.tree.file(node.index()))) return Files::write(r);
  if (!options().polls) return Answer::error(EOPNOTSUPP);
  const auto file = parts_.open_files.find(in->fh, node);
  if (!file) return Answer::error(EBADF);
  // The host's own are in /proc/pressure.
  if (!file->container) return Answer::error(EOPNOTSUPP);
  // It may wait, for the kernel and for the tenant's other triggers.
  return parts_.turns.in_turn_aside(r, file->container,
                                    [this, file](const Request& req) { return arm(req, file); });
}

Answer SnapshotFiles::arm(const Request& r, const std::shared_ptr<OpenFile>& file) {
  const auto* in = r.arg<fuse_write_in>();
  const auto* bytes = reinterpret_cast<const char*>(r.payload() + sizeof(*in));
  // As psi_write() does it: the last byte is not part of the text.
  std::string text(bytes, std::min<size_t>(in->size, kMaxTrigger));
  if (text.empty()) return Answer::error(EINVAL);
  text.back() = '\0';
  // What the kernel asks of the writer it would ask of us, who may more.
  if (window_of(text) % kUnprivilegedWindowUs != 0) {
    const auto status = parts_.host.status_of(r.header().pid);
    if (!status || !may_use_resources(status.value())) return Answer::error(EINVAL);
  }
  const int error = parts_.triggers.arm(in->fh, file, text, r.resent());
  // Its writer may have been killed meanwhile, and the file closed.
  if (!parts_.open_files.find(in->fh, file->node)) parts_.triggers.release(in->fh, file->node);
  if (error == ESRCH || error == ENODEV) return Answer::error(ESRCH);
  if (error != 0) return Answer::error(error);
  fuse_write_out out{};
  out.size = in->size;
  return Answer::of(out);
}

Answer SnapshotFiles::poll(const Request& r) {
  const auto* in = r.arg<fuse_poll_in>();
  const NodeId node = node_of(r);
  if (!takes_triggers(*parts_.tree.file(node.index()))) return Files::poll(r);
  return answer_poll(parts_.triggers.poll(in->fh, node, in->kh, r.resent()));
}

}  // namespace vprocfs
