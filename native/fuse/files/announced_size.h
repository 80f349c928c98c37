#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace vprocfs {

/// The size of a file that the kernel knows, or less; 0: none. Thread-safe.
///
/// Only a notice makes it greater for certain. The kernel passes over attributes that it had asked
/// for before others came (fs/fuse/inode.c, attr_version), and a short read of the cache only ever
/// makes a file shorter for it. To take its size for less than it is costs a notice more; for more,
/// the end of the file for sendfile(2).
class AnnouncedSize {
 public:
  uint64_t size() const { return size_of(now_.load()); }

  /// It is told in the answer to a request that is being worked on.
  void tell(uint64_t size) {
    set([size](uint64_t last) { return std::min(last, size); });
  }
  /// Likewise what was told last, `first` where there was nothing. Returns it.
  uint64_t tell_again(uint64_t first) {
    return set([first](uint64_t last) { return last == 0 ? first : last; });
  }

  /// Which time of being told was the last.
  class Mark {
   public:
    uint64_t size() const { return size_of(word_); }

   private:
    friend AnnouncedSize;
    explicit Mark(uint64_t word) : word_(word) {}
    uint64_t word_;
  };
  Mark mark() const { return Mark(now_.load()); }
  /// It was told after `mark` in a notice, which the kernel takes for newer than answers to
  /// requests of before. Nothing if it was told any since, the same one too: that may be the answer
  /// to a request of after the notice.
  void note(Mark mark, uint64_t size) {
    now_.compare_exchange_strong(mark.word_, next(mark.word_, size));
  }

 private:
  // Above the size lies how often it was told any.
  static constexpr unsigned kSizeBits = 40;
  static constexpr uint64_t kSizeMask = (uint64_t{1} << kSizeBits) - 1;

  static uint64_t size_of(uint64_t word) { return word & kSizeMask; }
  static uint64_t next(uint64_t word, uint64_t size) {
    return ((word >> kSizeBits) + 1) << kSizeBits | (size & kSizeMask);
  }
  template <typename Choose>
  uint64_t set(Choose choose) {
    uint64_t was = now_.load();
    while (!now_.compare_exchange_weak(was, next(was, choose(size_of(was))))) {
    }
    return choose(size_of(was));
  }

  std::atomic<uint64_t> now_{0};
};

}  // namespace vprocfs
