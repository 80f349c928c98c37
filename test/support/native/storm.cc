// Readers that check every byte they get while workers die under them.
//
//   storm DIRECTORY MEMTOTAL_KB READERS
//
// DIRECTORY holds proc/meminfo, proc/stat and proc/uptime of one container. Lines on standard
// input: "before" and "after" tell of a kill or a reload; the end of the input ends the run. Prints
// one JSON object.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "storm_ledger.h"

namespace {

using storm::now_us;

std::atomic<bool> g_stop{false};
std::atomic<uint64_t> g_before_us{0}, g_after_us{0};

storm::Ledger g_ledger;

/// One reader: a thread that repeats its own pattern.
class Reader {
 public:
  Reader(const std::string& directory, uint64_t total_kb, size_t pattern)
      : directory_(directory), total_kb_(total_kb), pattern_(pattern) {}

  void run() {
    while (!g_stop) once();
    busy_since_us = 0;
  }

  std::atomic<uint64_t> busy_since_us{0};

 private:
  void once() {
    switch (pattern_ % 4) {
      case 0:
        return whole_meminfo();
      case 1:
        return whole_stat();
      case 2:
        return chunked(round_++ % 2 == 0 ? "proc/stat" : "proc/meminfo");
      default:
        return seeking();
    }
  }

  /// One system call, timed; an error is noted with whether a kill fell into it.
  template <typename Call>
  ssize_t timed(const char* name, Call call) {
    const uint64_t begin = now_us();
    busy_since_us = begin;
    const ssize_t n = call();
    const int error = errno;
    const uint64_t end = now_us();
    busy_since_us = 0;
    g_ledger.took(end - begin);
    if (n < 0) {
      // A kill that is under way has no end yet: then "after" is older than "before".
      const uint64_t before = g_before_us, after = g_after_us;
      const bool open_ended = after < before;
      const bool in_flight = before != 0 && end + 1000 >= before && (open_ended || begin <= after);
      g_ledger.failed(std::string(name) + ":" + ::strerrorname_np(error), in_flight);
    }
    return n;
  }

  int open(const char* path) {
    const std::string full = directory_ + "/" + path;
    return static_cast<int>(
        timed("open", [&] { return static_cast<ssize_t>(::open(full.c_str(), O_RDONLY)); }));
  }

  /// Reads to the end in pieces of `chunk` bytes from where the file stands; false after an error.
  bool drain(int fd, size_t chunk, std::string& out) {
    std::vector<char> buffer(chunk);
    for (;;) {
      const ssize_t n = timed("read", [&] { return ::read(fd, buffer.data(), chunk); });
      if (n < 0) return false;
      if (n == 0) return true;
      out.append(buffer.data(), static_cast<size_t>(n));
    }
  }

  void wrong(const char* what) { g_ledger.failed(what, false); }

  void check_meminfo(const std::string& text) {
    uint64_t total = 0;
    if (std::sscanf(text.c_str(), "MemTotal: %lu kB", &total) != 1 || text.back() != '\n') {
      return wrong("torn meminfo");
    }
    if (total != total_kb_) return wrong("another container's MemTotal");
    const auto lines = std::count(text.begin(), text.end(), '\n');
    if (meminfo_lines_ == 0) meminfo_lines_ = lines;
    if (lines != meminfo_lines_ || text.find("MemTotal:", 1) != std::string::npos) {
      return wrong("torn meminfo");
    }
    g_ledger.whole();
  }

  void check_stat(const std::string& text) {
    if (text.compare(0, 4, "cpu ") != 0 || text.back() != '\n' ||
        text.find("\nbtime ") == std::string::npos) {
      return wrong("torn stat");
    }
    size_t at = 0;
    while (text.compare(at, 3, "cpu") == 0) {
      const size_t end = text.find('\n', at);
      check_cpu_line(text.substr(at, end - at));
      at = end + 1;
    }
    g_ledger.whole();
  }

  void check_cpu_line(const std::string& line) {
    const size_t space = line.find(' ');
    auto& last = counters_[line.substr(0, space)];
    const char* at = line.c_str() + space;
    for (size_t i = 0;; ++i) {
      char* end = nullptr;
      const uint64_t value = std::strtoull(at, &end, 10);
      if (end == at) return;
      at = end;
      if (last.size() <= i) last.resize(i + 1);
      if (value < last[i]) wrong("stat decreased");
      last[i] = value;
    }
  }

  void whole_meminfo() {
    const int fd = open("proc/meminfo");
    if (fd < 0) return;
    std::string text;
    if (drain(fd, 65536, text)) check_meminfo(text);
    ::close(fd);
  }

  void whole_stat() {
    const int fd = open("proc/stat");
    if (fd < 0) return;
    std::string text;
    if (drain(fd, 65536, text)) check_stat(text);
    ::close(fd);
  }

  /// Slow and in pieces, then all but the first byte once more: both must be of one snapshot.
  void chunked(const char* path) {
    const int fd = open(path);
    if (fd < 0) return;
    std::string first, second;
    bool good = drain(fd, 97, first);
    if (good && ::lseek(fd, 1, SEEK_SET) == 1) good = drain(fd, 61, second);
    ::close(fd);
    if (!good) return;
    if (first.size() < 2 || first.compare(1, std::string::npos, second) != 0) {
      return wrong("mixed snapshots");
    }
    if (first[0] == 'M') {
      check_meminfo(first);
    } else {
      check_stat(first);
    }
  }

  void seeking() {
    const int fd = open("proc/meminfo");
    if (fd < 0) return;
    char piece[16];
    std::string text;
    switch (round_++ % 4) {
      case 0:
        break;  // only opened
      case 1:
        timed("pread", [&] { return ::pread(fd, piece, sizeof(piece), 100); });
        break;
      default:
        for (int i = 0; i < 2; ++i) {
          text.clear();
          ::lseek(fd, 0, SEEK_SET);
          if (!drain(fd, 4096, text)) break;
          check_meminfo(text);
        }
    }
    ::close(fd);
  }

  const std::string directory_;
  const uint64_t total_kb_;
  const size_t pattern_;
  size_t round_ = 0;
  std::ptrdiff_t meminfo_lines_ = 0;
  std::map<std::string, std::vector<uint64_t>> counters_;
};

/// Follows standard input until it ends.
void listen() {
  char line[64];
  while (std::fgets(line, sizeof(line), stdin) != nullptr) {
    if (std::strcmp(line, "before\n") == 0) {
      g_before_us = now_us();
      g_ledger.event();
    } else if (std::strcmp(line, "after\n") == 0) {
      g_after_us = now_us();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: storm DIRECTORY MEMTOTAL_KB READERS\n");
    return 2;
  }
  const uint64_t total_kb = std::strtoull(argv[2], nullptr, 10);
  const size_t count = std::strtoull(argv[3], nullptr, 10);
  std::vector<Reader*> readers;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < count; ++i) {
    readers.push_back(new Reader(argv[1], total_kb, i));
    threads.emplace_back([reader = readers.back()] { reader->run(); });
  }
  std::printf("ready\n");
  std::fflush(stdout);
  listen();
  g_stop = true;
  // Longer than anything is documented to take; whoever is still in a call then hangs.
  constexpr uint64_t kHungUs = 25000000;
  size_t hung = count;
  for (const uint64_t end = now_us() + kHungUs; hung != 0 && now_us() < end;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    hung = static_cast<size_t>(std::count_if(
        readers.begin(), readers.end(), [](Reader* reader) { return reader->busy_since_us != 0; }));
  }
  g_ledger.print(hung);
  // Threads that hang cannot be joined.
  ::_exit(hung == 0 ? 0 : 1);
}
