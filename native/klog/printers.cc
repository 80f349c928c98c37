#include "klog/printers.h"

#include <sys/utsname.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "klog/shape.h"

namespace vprocfs {
namespace {

// Offsets in an entry (tracefs: events/printk/console/format).
constexpr size_t kFlagsAt = 2, kTaskAt = 4, kTextAt = 8, kMinBytes = 12;
// TRACE_FLAG_HARDIRQ, TRACE_FLAG_SOFTIRQ, TRACE_FLAG_NMI: the task only happened to run.
constexpr uint8_t kInterrupt = 0x08 | 0x10 | 0x40;
/// How far off the time of a record may be.
constexpr uint64_t kNearUs = 1'000'000;
/// How much too late a record may seem to have been logged. Matters when hits were lost.
constexpr uint64_t kLostUs = 100'000;
constexpr size_t kMaxHits = 16384, kMaxHitsPerText = 64;

/// The key under which a "Code:" line of a task is kept: no record has a newline in such a line.
std::string code_of(std::string_view text, pid_t task) {
  return std::string(text) + '\n' + std::to_string(task);
}

/// Whether printing tasks hit the tracepoint. Before 5.19 the task did that wrote to consoles,
/// which may be any other.
bool is_hit_by_printers() {
  utsname system{};
  if (::uname(&system) != 0) return false;
  char* end = nullptr;
  const long major = std::strtol(system.release, &end, 10);
  const long minor = *end == '.' ? std::strtol(end + 1, nullptr, 10) : 0;
  return major > 5 || (major == 5 && minor >= 19);
}

}  // namespace

bool PrintedTexts::knows_format(std::string_view format) {
  for (const std::string_view field :
       {"common_flags;\toffset:2;\tsize:1;", "common_pid;\toffset:4;\tsize:4;",
        "__data_loc char[] msg;\toffset:8;\tsize:4;"}) {
    if (format.find(field) == format.npos) return false;
  }
  return true;
}

void PrintedTexts::add(const TraceHit& hit) {
  if (hit.entry.size() < kMinBytes) return;
  int32_t task = 0;
  uint32_t place = 0;
  std::memcpy(&task, hit.entry.data() + kTaskAt, sizeof task);
  std::memcpy(&place, hit.entry.data() + kTextAt, sizeof place);
  const size_t at = place & 0xffff, size = place >> 16;
  if (at > hit.entry.size() || size > hit.entry.size() - at) return;
  std::string_view text = hit.entry.substr(at, size);
  text = text.substr(0, text.find('\0'));
  // A later part of a record, which is never looked up.
  if (text.empty() || text.front() == ' ') return;
  const bool in_interrupt = (static_cast<uint8_t>(hit.entry[kFlagsAt]) & kInterrupt) != 0;
  const Printer printer{in_interrupt ? 0 : static_cast<pid_t>(task), hit.at_us, hit.cgroup};
  const auto it =
      hits_.try_emplace(is_code(text) ? code_of(text, printer.task) : std::string(text)).first;
  if (it->second.hits.size() >= kMaxHitsPerText) {
    it->second.lost_us = hit.at_us;
    return;
  }
  it->second.hits.push_back(Hit{printer, false});
  order_.push_back(&it->first);
  if (order_.size() <= kMaxHits) return;
  note_loss(hit.at_us);
  drop_oldest();
}

void PrintedTexts::drop_oldest() {
  const auto it = hits_.find(*order_.front());
  order_.pop_front();
  it->second.hits.pop_front();
  if (it->second.hits.empty()) hits_.erase(it);
}

std::optional<Printer> PrintedTexts::take_text(const std::string& text, uint64_t logged_us) {
  Hit* first = nullptr;
  const auto found = hits_.find(text);
  if (found == hits_.end() || logged_us <= found->second.lost_us + kLostUs) return std::nullopt;
  for (Hit& hit : found->second.hits) {
    const uint64_t at_us = hit.printer.at_us;
    if (hit.is_used || at_us > logged_us || at_us + kNearUs < logged_us) continue;
    // Two tasks printed this text at about that time: either may be meant.
    if (first != nullptr && first->printer.task != hit.printer.task) return std::nullopt;
    if (first == nullptr || at_us < first->printer.at_us) first = &hit;
  }
  if (first == nullptr) return std::nullopt;
  first->is_used = true;
  return first->printer;
}

std::optional<Printer> PrintedTexts::take(const LogRecord& record, uint64_t logged_us,
                                          const std::vector<pid_t>& faulted) {
  if (hits_.empty() || record.facility != 0 || logged_us <= lost_us_ + kLostUs) return std::nullopt;
  std::optional<Printer> found;
  if (is_code(record.text)) {
    for (size_t i = 0; !found && i < faulted.size(); ++i) {
      found = take_text(code_of(record.text, faulted[i]), logged_us);
    }
  } else {
    found = take_text(record.text, logged_us);
  }
  // Some records are printed in parts (show_signal_msg()): the first part has the printer.
  for (const char* part : {" likely on CPU ", " in "}) {
    const size_t end = record.text.find(part, record.text.find(" error "));
    if (!found && end != record.text.npos) {
      found = take_text(record.text.substr(0, end), logged_us);
    }
  }
  return found && found->task != 0 ? found : std::nullopt;
}

void PrintedTexts::forget(uint64_t logged_us) {
  while (!order_.empty()) {
    const Hit& oldest = hits_.find(*order_.front())->second.hits.front();
    if (!oldest.is_used && oldest.printer.at_us + 2 * kNearUs >= logged_us) return;
    drop_oldest();
  }
}

Result<std::unique_ptr<Printers>> Printers::open() {
  if (!is_hit_by_printers()) return Error{ENOSYS, "tracepoint printk:console"};
  auto out = std::make_unique<Printers>();
  std::string format;
  auto rings = PerfRings::open("printk/console", format);
  if (!rings) return rings.error();
  if (!PrintedTexts::knows_format(format)) return Error{ENOTSUP, "tracepoint printk:console"};
  out->rings_ = std::move(rings.value());
  // The printers of what was printed before now are unknown.
  out->texts_.note_loss(monotonic_us());
  return out;
}

void Printers::update() {
  const bool whole = rings_->drain([this](const TraceHit& hit) { texts_.add(hit); });
  if (!whole) texts_.note_loss(monotonic_us());
}

}  // namespace vprocfs
