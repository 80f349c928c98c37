#include "source/tasks/perf_rings.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/new_mount.h"
#include "source/parse.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

/// PERF_SAMPLE_CGROUP, since Linux 5.7.
constexpr uint64_t kSampleCgroup = 1U << 21;
/// Of all rings together; of one at least and at most.
constexpr size_t kTotalBytes = 4 << 20, kMinRingBytes = 16 << 10, kMaxRingBytes = 128 << 10;

template <typename T>
T value_at(std::string_view bytes, size_t at) {
  T out{};
  std::memcpy(&out, bytes.data() + at, sizeof out);
  return out;
}

size_t ring_bytes(size_t cpus) {
  size_t bytes = kMaxRingBytes;
  while (bytes > kMinRingBytes && bytes * cpus > kTotalBytes) bytes /= 2;
  return std::max(bytes, static_cast<size_t>(::sysconf(_SC_PAGESIZE)));
}

}  // namespace

bool parse_trace_hit(std::string_view sample, TraceHit& out) {
  constexpr size_t kTimeAt = sizeof(perf_event_header), kSizeAt = kTimeAt + 8;
  constexpr size_t kEntryAt = kSizeAt + sizeof(uint32_t);
  if (sample.size() < kEntryAt) return false;
  const size_t size = value_at<uint32_t>(sample, kSizeAt);
  if (size > sample.size() - kEntryAt) return false;
  const size_t end = kEntryAt + size;
  out.at_us = value_at<uint64_t>(sample, kTimeAt) / 1000;
  out.entry = sample.substr(kEntryAt, size);
  out.cgroup = sample.size() >= end + 8 ? value_at<uint64_t>(sample, end) : 0;
  return true;
}

Result<std::unique_ptr<PerfRings>> PerfRings::open(const std::string& name, std::string& format) {
  const Fd tracefs = new_mount("tracefs");
  if (!tracefs) return Error{errno, "tracefs"};
  auto text = read_file(tracefs.get(), "events/" + name + "/format");
  const auto id_text = read_file(tracefs.get(), "events/" + name + "/id");
  if (!text) return text.error();
  if (!id_text) return id_text.error();
  const auto id = parse_u64(trim(id_text.value()));
  if (!id) return Error{EINVAL, "tracepoint " + name};
  format = std::move(text.value());
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_TRACEPOINT;
  attributes.size = sizeof attributes;
  attributes.config = *id;
  attributes.sample_period = 1;
  attributes.sample_type = PERF_SAMPLE_TIME | PERF_SAMPLE_RAW | kSampleCgroup;
  attributes.use_clockid = 1;
  attributes.clockid = CLOCK_MONOTONIC;
  attributes.watermark = 1;
  attributes.wakeup_watermark = UINT32_MAX;
  auto out = std::make_unique<PerfRings>();
  const long cpus = std::max(::sysconf(_SC_NPROCESSORS_CONF), 1L);
  const size_t bytes = ring_bytes(static_cast<size_t>(cpus));
  const size_t mapped = bytes + static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  for (long cpu = 0; cpu < cpus; ++cpu) {
    Fd fd(static_cast<int>(
        ::syscall(SYS_perf_event_open, &attributes, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)));
    // What an absent CPU prints once it is there is known to nobody.
    if (!fd && errno == ENODEV) continue;
    if (!fd) return Error{errno, "perf_event_open"};
    auto memory = Mapping::of_file(fd.get(), mapped);
    if (!memory) return Error{errno, "ring of perf_event_open"};
    out->rings_.push_back({std::move(fd), std::move(memory)});
  }
  if (out->rings_.empty()) return Error{ENODEV, "perf_event_open"};
  return out;
}

bool PerfRings::drain(const Take& take) {
  bool whole = true;
  for (Ring& ring : rings_) whole = drain_one(ring.memory, take) && whole;
  return whole;
}

bool PerfRings::drain_one(const Mapping& memory, const Take& take) {
  auto* page = memory.as<perf_event_mmap_page>();
  const char* data = memory.as<char>() + page->data_offset;
  const uint64_t size = page->data_size;
  const uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
  uint64_t tail = page->data_tail;
  bool whole = true;
  const auto copy = [&](size_t bytes) {
    sample_.resize(bytes);
    const uint64_t at = tail % size;
    const size_t first = std::min<size_t>(bytes, size - at);
    std::memcpy(sample_.data(), data + at, first);
    std::memcpy(sample_.data() + first, data, bytes - first);
  };
  while (tail + sizeof(perf_event_header) <= head) {
    copy(sizeof(perf_event_header));
    const auto header = value_at<perf_event_header>(sample_, 0);
    if (header.size < sizeof header || header.size > head - tail) break;
    copy(header.size);
    tail += header.size;
    TraceHit hit;
    if (header.type == PERF_RECORD_LOST) whole = false;
    if (header.type == PERF_RECORD_SAMPLE && parse_trace_hit(sample_, hit)) take(hit);
  }
  __atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
  return whole;
}

}  // namespace vprocfs
