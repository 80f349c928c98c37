#include "fuse/files/kmsg_file.h"

#include <cstddef>
#include <utility>

#include "fuse/files/container_files.h"
#include "state/two_states.h"

namespace vprocfs {
namespace {

/// As it lies in the state file.
struct Packed {
  uint64_t node;
  uint64_t request;   ///< identity of the OPEN
  uint64_t checksum;  ///< of the fields above, which never change
  TwoStates<KmsgState> state;
};

uint64_t checksum_of(const Packed& packed) {
  return StateFile::checksum(&packed, offsetof(Packed, checksum));
}

Packed* packed_at(StateFile& state, RecordIndex record) {
  return reinterpret_cast<Packed*>(state.data(record));
}

}  // namespace

KmsgFile::KmsgFile(StateFile& state, NodeId n, const View& v, std::shared_ptr<Container> c,
                   uint64_t h, uint64_t request)
    : node(n), view(v), container(std::move(c)), handle(h), state_(state) {
  ContainerFiles::of(*container).count_open(true);
  record_ = state_.allocate(RecordType::kLogFile, sizeof(Packed));
  if (record_ != 0) publish(request);
}

KmsgFile::KmsgFile(StateFile& state, const SavedFile& saved, const View& v,
                   std::shared_ptr<Container> c)
    : node(saved.node),
      view(v),
      container(std::move(c)),
      handle(saved.handle),
      state_(state),
      record_(saved.record),
      now_(saved.state) {
  ContainerFiles::of(*container).count_open(true);
}

KmsgFile::~KmsgFile() {
  ContainerFiles::of(*container).count_open(false);
  if (record_ != 0) state_.release(record_, RecordType::kLogFile, handle);
}

void KmsgFile::publish(uint64_t request) {
  Packed* packed = packed_at(state_, record_);
  packed->node = node.raw();
  packed->request = request;
  packed->checksum = checksum_of(*packed);
  packed->state.write(now_);
  state_.publish(record_, RecordType::kLogFile, handle, sizeof(Packed));
}

void KmsgFile::change(const KmsgState& to) {
  now_ = to;
  if (record_ != 0) packed_at(state_, record_)->state.write(now_);
}

void KmsgFile::adopt(StateFile& state, const std::function<bool(const SavedFile&)>& keep) {
  state.for_each(RecordType::kLogFile, [&](RecordIndex record, uint64_t handle, size_t bytes) {
    const Packed* packed = packed_at(state, record);
    const bool whole = bytes == sizeof(Packed) && packed->checksum == checksum_of(*packed);
    const auto now = whole ? packed->state.read() : std::nullopt;
    if (now && keep({record, handle, packed->request, NodeId(packed->node), *now})) return;
    state.release(record, RecordType::kLogFile, handle);
  });
}

void KmsgFile::drop(StateFile& state, const SavedFile& saved) {
  state.release(saved.record, RecordType::kLogFile, saved.handle);
}

}  // namespace vprocfs
