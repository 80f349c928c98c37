#include "fuse/files/kmsg_file.h"

#include <atomic>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "fuse/files/container_files.h"

namespace vprocfs {
namespace {

struct Checked {
  KmsgState state;
  uint64_t checksum;
};
static_assert(std::is_trivially_copyable_v<Checked>);

/// As it lies in the state file. Of two states one counts: the other is written whole before the
/// word that says which.
struct Packed {
  uint64_t node;
  uint64_t request;   ///< identity of the OPEN
  uint64_t checksum;  ///< of the fields above, which never change
  std::atomic<uint64_t> current;
  Checked states[2];
};

uint64_t checksum_of(const Checked& checked) {
  return StateFile::checksum(&checked, offsetof(Checked, checksum));
}

uint64_t checksum_of(const Packed& packed) {
  return StateFile::checksum(&packed, offsetof(Packed, checksum));
}

Packed* packed_at(StateFile& state, RecordIndex record) {
  return reinterpret_cast<Packed*>(state.data(record));
}

bool is_whole(const Packed& packed) {
  const uint64_t current = packed.current.load(std::memory_order_acquire);
  return packed.checksum == checksum_of(packed) && current <= 1 &&
         packed.states[current].checksum == checksum_of(packed.states[current]);
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
  packed->states[0].state = now_;
  packed->states[0].checksum = checksum_of(packed->states[0]);
  packed->current.store(0);
  state_.publish(record_, RecordType::kLogFile, handle, sizeof(Packed));
}

void KmsgFile::change(const KmsgState& to) {
  now_ = to;
  if (record_ == 0) return;
  Packed* packed = packed_at(state_, record_);
  const uint64_t other = 1 - packed->current.load(std::memory_order_relaxed);
  packed->states[other].state = now_;
  packed->states[other].checksum = checksum_of(packed->states[other]);
  packed->current.store(other, std::memory_order_release);
}

void KmsgFile::adopt(StateFile& state,
                     const std::function<std::shared_ptr<KmsgFile>(const SavedFile&)>& make) {
  state.for_each(RecordType::kLogFile, [&](RecordIndex record, uint64_t handle, size_t bytes) {
    const Packed* packed = packed_at(state, record);
    const bool whole = bytes == sizeof(Packed) && is_whole(*packed);
    if (whole && make({record, handle, packed->request, NodeId(packed->node),
                       packed->states[packed->current.load()].state})) {
      return;
    }
    state.release(record, RecordType::kLogFile, handle);
  });
}

}  // namespace vprocfs
