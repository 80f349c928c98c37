#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "container/container.h"
#include "container/mirror.h"
#include "fuse/files/announced_size.h"
#include "fuse/files/announced_values.h"
#include "fuse/files/reader_counts.h"
#include "view/stable.h"
#include "view/view.h"

namespace vprocfs {

/// What a file holds while the kernel caches it: size, time and content are of one moment.
struct CachedText {
  std::string text;
  StableLength length;  ///< of mirrored files in contract `tick`
  /// CLOCK_BOOTTIME; of files that change with limits when it was last found to be so.
  mutable std::atomic<uint64_t> taken_us{0};
  Container::MadeOf made_of;  ///< for files that change with limits
  uint64_t modified_ns = 0;   ///< CLOCK_REALTIME; another one for each other text of a file
};
using CachedTextPtr = std::shared_ptr<const CachedText>;

/// Hash and size of a text that the kernel caches and we no longer hold.
struct TextMark {
  uint64_t bytes = 0;
  uint64_t hash = 0;  ///< see StateFile::checksum()

  static TextMark of(const std::string& text);
  friend bool operator==(TextMark a, TextMark b) { return a.bytes == b.bytes && a.hash == b.hash; }
};

/// What the connections know of one container's files: what is open, and what the kernel was told
/// and has in its page cache. Lives as long as its container. Thread-safe.
class ContainerFiles : public Container::Attached {
 public:
  explicit ContainerFiles(Container& container);
  ContainerFiles(const ContainerFiles&) = delete;
  ContainerFiles& operator=(const ContainerFiles&) = delete;

  /// Forgets texts. What the kernel caches it keeps, and what it was told is known on as after a
  /// takeover.
  void drop_texts() override;

  static ContainerFiles& of(Container& container) { return container.attached<ContainerFiles>(); }

  /// A file was opened or closed; the limit is the caller's to keep.
  void count_open(bool opened);
  /// Its open files hold snapshots of so many bytes more, and of so many less.
  void count_held(uint64_t more, uint64_t less);
  /// Its open files, and the bytes that they hold.
  uint64_t open_files() const { return open_files_.load(std::memory_order_relaxed); }
  uint64_t held_bytes() const { return held_bytes_.load(std::memory_order_relaxed); }

  /// What the kernel is to have of a file that it caches; nullptr when there is none yet.
  CachedTextPtr cached_text(uint16_t view_index);
  /// Makes `recent`, which has a text, the current one of a file in contract `tick`. Its length
  /// stays that of the previous text if possible.
  CachedTextPtr set_tick_text(const View& view, Container::RecentText recent);
  /// There is nothing that the kernel could have of a file.
  void drop_text(uint16_t view_index);
  /// The present text of a file that changes with limits only, rendered again when the CPUs shown
  /// are others, or when it is old, but not if its cpuinfo has stayed the same. Which are shown is
  /// found out again after `tick_us`, and when a limit was written. Errors as Container::render().
  Result<CachedTextPtr> limits_text(const View& view, uint64_t now_us, uint64_t tick_us);

  /// The present text of a mirrored file in contract `tick`, by the number of its path. The oldest
  /// are dropped when they exceed 256 KiB together. Its length is kept as `growth` needs it.
  CachedTextPtr mirror_text(uint32_t number);
  CachedTextPtr set_mirror_text(uint32_t number, std::string text, Mirror::Growth growth,
                                uint64_t now_us);
  /// The file cannot be read any more.
  void drop_mirror_text(uint32_t number);

  /// How an OPEN of a file that the kernel caches is to be served.
  enum class CopyUse {
    kShare,    ///< the kernel's copy says this: read it from there
    kReplace,  ///< nobody is in the middle of the old copy: have the kernel forget it first
    kOwn,      ///< somebody may be in the middle of an older copy: a snapshot of its own
  };
  /// Decides it for the present text `now`, and counts the reader unless kOwn. `settling`: a
  /// replacement is under way, so that the answer has to queue behind it.
  CopyUse hold_copy(uint16_t view_index, const CachedTextPtr& now, bool& settling);
  void copy_settled(uint16_t view_index);
  /// A reader that was counted has closed the file. `own`: by this worker.
  void drop_copy(uint16_t view_index, bool own = true);
  /// What the kernel has, or is about to have, of a file; nullptr when nobody asked for it yet, or
  /// only in the time of a worker before this one.
  CachedTextPtr kernel_copy(uint16_t view_index);
  /// Whether what the kernel has is known to be for these CPUs.
  bool is_copy_for(uint16_t view_index, const CpuSet& cpus);
  /// The size of that, also when a worker before this one gave it; 0: the kernel has nothing.
  uint64_t kernel_size(uint16_t view_index);
  /// The same; 0 also while it is being replaced.
  uint64_t settled_size(uint16_t view_index);
  /// Notes that the copy is about to be compared with the present text, in its turn. False: that is
  /// noted already, so that limits that change on and on queue no more of it.
  bool queue_renewal(uint16_t view_index);
  /// It is being compared: what changes from now on is not in that.
  void begin_renewal(uint16_t view_index);
  /// Whether the kernel has something else of a file than `text`.
  bool kernel_has_other(uint16_t view_index, const std::string& text);

  /// Which open of a file came last, and by which thread.
  struct LastOpen {
    uint64_t handle = 0;
    uint32_t pid = 0;
  };
  /// Every connection has inodes and open files of its own.
  static constexpr size_t kConnections = 2;
  LastOpen last_open(size_t connection, uint16_t view_index);
  void set_last_open(size_t connection, uint16_t view_index, LastOpen last);

  /// By View::index.
  AnnouncedSize& announced_size(size_t connection, uint16_t view_index) {
    return announced_sizes_[connection][view_index];
  }

 private:
  struct KernelCopy {
    CachedTextPtr text;
    TextMark of_before;  ///< of what was given, also by another worker, while there is no `text`
    std::optional<CpuSet> dropped_for;  ///< what this worker gave, if it has dropped the text
    uint64_t opened_us = 0;             ///< CLOCK_BOOTTIME: the last open
    uint32_t settling = 0;
    bool renewal_queued = false;

    bool exists() const { return text || !(of_before == TextMark{}); }
    bool says(const std::string& other) const;
    uint64_t size() const { return text ? text->text.size() : of_before.bytes; }
  };
  /// These with the mutex held.
  KernelCopy& copy_of(uint16_t view_index);
  /// Whether somebody may be in the middle of it.
  bool is_read(uint16_t view_index, const KernelCopy& copy);
  AnnouncedValues<TextMark>& copy_marks();
  ReaderCounts& readers();

  Container& container_;
  std::atomic<uint64_t> open_files_{0}, held_bytes_{0};
  std::array<std::array<AnnouncedSize, kViewSlots>, kConnections> announced_sizes_{};
  std::mutex mutex_;  ///< guards what follows
  std::map<uint16_t, KernelCopy> copies_;
  std::map<uint16_t, CachedTextPtr> cached_;  ///< by View::index
  /// Lengths of texts cached under `tick`; without them a reader that has read a whole file would
  /// find more of it after a takeover.
  std::optional<AnnouncedValues<StableLength>> lengths_;
  /// Marks of the kernel's copies under `exact`, except of those that are being replaced.
  std::optional<AnnouncedValues<TextMark>> copy_marks_;
  std::optional<ReaderCounts> readers_;
  const uint64_t since_us_;  ///< CLOCK_BOOTTIME at construction
  std::map<uint32_t, CachedTextPtr> mirrored_;
  size_t mirrored_bytes_ = 0;
  using LastOpens = std::array<std::array<LastOpen, kViewSlots>, kConnections>;
  std::unique_ptr<LastOpens> last_open_;  ///< none in contract `tick`, where no open is told of
};

}  // namespace vprocfs
