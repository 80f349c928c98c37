// Reads a file of contract tick to its end, again and again, and checks every content it gets.
//
//   tick_reader read KIND THREADS SECONDS FILE
//   tick_reader negotiate FLAGS WANTED
//
// KIND is meminfo, stat or uptime. Prints one JSON object: how many reads there were, how many were
// empty, cut (no newline at the end), mixed (figures of two snapshots) or failed, and how many
// lengths and how many contents one thread saw at most. SIGTERM ends it early.
//
// `negotiate` answers an INIT that offers FLAGS (hexadecimal) to one that wants "tick", the
// "longest" requests or neither. Prints whether tick was agreed on, the flags, and how long
// requests may take.

#include <fcntl.h>
#include <signal.h>
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
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "fuse/init.h"

namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> stopping{false};

struct Tally {
  uint64_t reads = 0, empty = 0, cut = 0, mixed = 0, failed = 0, contents = 0;
  std::set<size_t> lengths;
  std::string example;
};

bool whole_meminfo(const std::string& text) {
  std::map<std::string, uint64_t> values;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) return false;
    values[line.substr(0, colon)] = std::strtoull(line.c_str() + colon + 1, nullptr, 10);
  }
  const auto sum = [&](const char* total, const char* one, const char* other) {
    return values.count(total) == 1 && values[total] == values[one] + values[other];
  };
  return sum("Active", "Active(anon)", "Active(file)") &&
         sum("Inactive", "Inactive(anon)", "Inactive(file)") &&
         sum("Slab", "SReclaimable", "SUnreclaim") && values["MemFree"] <= values["MemAvailable"] &&
         values["MemAvailable"] <= values["MemTotal"];
}

bool whole_stat(const std::string& text) {
  std::vector<uint64_t> total, sums;
  std::istringstream lines(text);
  bool last_is_there = false;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    last_is_there = last_is_there || key == "softirq";
    if (key.compare(0, 3, "cpu") != 0) continue;
    std::vector<uint64_t>& to = key == "cpu" ? total : sums;
    size_t column = 0;
    for (uint64_t value; words >> value; ++column) {
      if (column >= to.size()) to.push_back(0);
      to[column] += value;
    }
  }
  return !total.empty() && total == sums && last_is_there;
}

bool whole_uptime(const std::string& text) {
  double up = 0, idle = 0;
  int end = 0;
  if (std::sscanf(text.c_str(), "%lf %lf%n", &up, &idle, &end) != 2) return false;
  return text.find_first_not_of(' ', static_cast<size_t>(end)) == text.size() - 1;
}

bool whole(const std::string& kind, const std::string& text) {
  if (kind == "meminfo") return whole_meminfo(text);
  return kind == "stat" ? whole_stat(text) : whole_uptime(text);
}

/// Returns 0 or an errno.
int read_all(const char* file, std::string& text) {
  static thread_local std::vector<char> buffer(64 * 1024);
  text.clear();
  const int fd = ::open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  ssize_t n;
  while ((n = ::read(fd, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  const int code = n < 0 ? errno : 0;
  ::close(fd);
  return code;
}

void read_on(const std::string& kind, const char* file, Clock::time_point end, Tally& tally) {
  std::string text, last;
  while (!stopping && Clock::now() < end) {
    ++tally.reads;
    const int code = read_all(file, text);
    if (code != 0) {
      ++tally.failed;
      tally.example = std::strerror(code);
      continue;
    }
    if (text == last) continue;
    ++tally.contents;
    tally.lengths.insert(text.size());
    last = text;
    if (text.empty()) {
      ++tally.empty;
    } else if (text.back() != '\n') {
      ++tally.cut;
    } else if (!whole(kind, text)) {
      ++tally.mixed;
    } else {
      continue;
    }
    tally.example = text;
  }
}

int read_command(char** argv) {
  const size_t threads = std::strtoul(argv[3], nullptr, 10);
  const auto end =
      Clock::now() + std::chrono::milliseconds(std::strtol(argv[4], nullptr, 10) * 1000);
  ::signal(SIGTERM, [](int) { stopping = true; });
  std::vector<Tally> tallies(threads);
  std::vector<std::thread> running;
  for (Tally& tally : tallies) {
    running.emplace_back([&] { read_on(argv[2], argv[5], end, tally); });
  }
  for (auto& thread : running) thread.join();
  Tally all;
  size_t lengths = 0;
  for (const Tally& t : tallies) {
    all.reads += t.reads;
    all.empty += t.empty;
    all.cut += t.cut;
    all.mixed += t.mixed;
    all.failed += t.failed;
    all.contents = std::max(all.contents, t.contents);
    lengths = std::max(lengths, t.lengths.size());
    if (!t.example.empty()) all.example = t.example;
  }
  const auto figure = [](const char* name, uint64_t value) {
    std::printf("\"%s\":%llu,", name, static_cast<unsigned long long>(value));
  };
  std::printf("{");
  figure("reads", all.reads);
  figure("empty", all.empty);
  figure("cut", all.cut);
  figure("mixed", all.mixed);
  figure("failed", all.failed);
  figure("contents", all.contents);
  figure("lengths", lengths);
  std::printf("\"threads\":%zu}\n", threads);
  if (!all.example.empty()) std::fprintf(stderr, "%s\n", all.example.c_str());
  return 0;
}

int negotiate_command(char** argv) {
  fuse_init_in in{};
  in.major = FUSE_KERNEL_VERSION;
  in.minor = FUSE_KERNEL_MINOR_VERSION;
  const uint64_t offered = std::strtoull(argv[2], nullptr, 16);
  in.flags = static_cast<uint32_t>(offered);
  in.flags2 = static_cast<uint32_t>(offered >> 32);
  fuse_init_out out{};
  vprocfs::ConnectionState agreed;
  const auto answer = vprocfs::negotiate(
      reinterpret_cast<const uint8_t*>(&in), sizeof(in),
      {std::strcmp(argv[3], "tick") == 0, std::strcmp(argv[3], "longest") == 0}, out, agreed);
  // Where the kernel has it since 7.43.
  uint16_t timeout = 0;
  std::memcpy(&timeout, reinterpret_cast<const uint8_t*>(&out) + 40, sizeof(timeout));
  const uint64_t flags = uint64_t{out.flags2} << 32 | out.flags;
  std::printf("{\"agreed\":%s,\"tick\":%s,\"flags\":%llu,\"timeout\":%u}\n",
              answer == vprocfs::InitAnswer::kAgreed ? "true" : "false",
              agreed.tick != 0 ? "true" : "false", static_cast<unsigned long long>(flags), timeout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 6 && std::strcmp(argv[1], "read") == 0) return read_command(argv);
  if (argc == 4 && std::strcmp(argv[1], "negotiate") == 0) return negotiate_command(argv);
  std::fprintf(stderr,
               "usage: tick_reader read KIND THREADS SECONDS FILE | negotiate FLAGS WANTED\n");
  return 2;
}
