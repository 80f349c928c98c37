// The load of the benchmark: a process of its own, so that neither the daemon nor the JavaScript
// that drives the benchmark is part of what is measured.

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "enter.h"
#include "options.h"
#include "worker.h"

namespace vprocfs_bench {
namespace {

Gate* g_gate = nullptr;  // for the signal handler, which takes no argument

void on_signal(int) { g_gate->stop.store(1); }

template <typename T>
T* shared_array(size_t count) {
  void* memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("load: mmap");
    std::exit(1);
  }
  return static_cast<T*>(memory);
}

/// Runs the threads of one process; `first` is the number of its first thread among `total`.
void run_threads(const Options& options, uint32_t first, uint32_t total, Gate& gate,
                 Tally* tallies) {
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < options.threads; ++i) {
    threads.emplace_back([&options, &gate, tallies, first, total, i] {
      work(options, first + i, total, gate, tallies[first + i]);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

/// The PID namespace takes in children only: this process waits for the one that does the reading.
[[noreturn]] void run_inside(const Options& options, const Container& container, uint32_t first,
                             uint32_t total, Gate& gate, Tally* tallies) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string error = enter(container);
  if (!error.empty()) {
    std::fprintf(stderr, "load: %s\n", error.c_str());
    _exit(1);
  }
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_threads(options, first, total, gate, tallies);
    _exit(0);
  }
  int status = 0;
  const bool good = child > 0 && waitpid(child, &status, 0) == child && status == 0;
  _exit(good ? 0 : 1);
}

std::vector<pid_t> start_processes(const Options& options, uint32_t total, Gate& gate,
                                   Tally* tallies) {
  std::vector<pid_t> children;
  uint32_t first = 0;
  for (const Container& container : options.containers) {
    const pid_t child = fork();
    if (child == 0) {
      run_inside(options, container, first, total, gate, tallies);
    }
    if (child < 0) {
      std::perror("load: fork");
      gate.stop.store(1);
      break;
    }
    children.push_back(child);
    first += options.threads;
  }
  if (options.containers.empty()) {
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      run_threads(options, 0, total, gate, tallies);
      _exit(0);
    }
    children.push_back(child);
  }
  return children;
}

/// True when every child ended well; one that did not stops the others.
bool wait_for(size_t children, Gate& gate) {
  bool good = true;
  while (children > 0) {
    int status = 0;
    if (wait(&status) < 0) {
      continue;  // a signal
    }
    --children;
    if (status != 0) {
      good = false;
      gate.stop.store(1);
    }
  }
  return good;
}

/// Starts the clock when all threads are warm. False when one of them never will be.
bool open_gate(uint32_t total, Gate& gate) {
  while (gate.ready.load() < total) {
    siginfo_t info{};
    const bool died = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
    if (died || gate.stop.load() != 0) {
      gate.stop.store(1);
      return false;
    }
    sleep_until(monotonic_ns() + 500'000);
  }
  gate.start_ns.store(monotonic_ns() + 2 * gate_interval_ns(total));
  std::fputs("started\n", stderr);
  return true;
}

void print_latencies(const char* name, const Histogram& histogram) {
  std::printf("\"%s\":{\"count\":%" PRIu64 ",\"mean\":%.1f,\"max\":%" PRIu64, name,
              histogram.count(), histogram.mean(), histogram.max());
  const struct {
    const char* name;
    double quantile;
  } points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
  for (const auto& point : points) {
    std::printf(",\"%s\":%" PRIu64, point.name, histogram.at(point.quantile));
  }
  std::printf("}");
}

void add(Tally& sum, const Tally& tally) {
  sum.service.add(tally.service);
  sum.response.add(tally.response);
  for (int i = 0; i < kErrnos; ++i) {
    sum.errors[i] += tally.errors[i];
  }
  sum.empty += tally.empty;
  sum.cut += tally.cut;
  sum.bytes += tally.bytes;
  sum.cpu_ns += tally.cpu_ns;
  if (tally.end_ns > sum.end_ns) {
    sum.end_ns = tally.end_ns;
  }
}

void print_result(const Tally& sum, uint64_t start_ns) {
  uint64_t errors = 0;
  for (const uint64_t count : sum.errors) {
    errors += count;
  }
  std::printf("{");
  print_latencies("service", sum.service);
  std::printf(",");
  print_latencies("response", sum.response);
  std::printf(",\"errors\":%" PRIu64 ",\"errnos\":{", errors);
  const char* separator = "";
  for (int i = 0; i < kErrnos; ++i) {
    if (sum.errors[i] > 0) {
      std::printf("%s\"%d\":%" PRIu64, separator, i, sum.errors[i]);
      separator = ",";
    }
  }
  const double elapsed = sum.end_ns > start_ns ? static_cast<double>(sum.end_ns - start_ns) : 0.0;
  std::printf("},\"empty\":%" PRIu64 ",\"cut\":%" PRIu64 ",\"bytes\":%" PRIu64
              ",\"cpuUs\":%.1f,\"seconds\":%.6f}\n",
              sum.empty, sum.cut, sum.bytes, static_cast<double>(sum.cpu_ns) / 1e3, elapsed / 1e9);
}

int run(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  const size_t processes = options.containers.empty() ? 1 : options.containers.size();
  const auto total = static_cast<uint32_t>(processes * options.threads);
  Gate* gate = shared_array<Gate>(1);
  Tally* tallies = shared_array<Tally>(total);
  g_gate = gate;
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);

  const size_t children = start_processes(options, total, *gate, tallies).size();
  const bool started = children == processes && open_gate(total, *gate);
  const bool good = wait_for(children, *gate);
  if (!started || !good) {
    std::fputs("load: not all readers ran to their end\n", stderr);
    return 1;
  }
  auto sum = std::make_unique<Tally>();
  for (uint32_t i = 0; i < total; ++i) {
    add(*sum, tallies[i]);
  }
  print_result(*sum, gate->start_ns.load());
  return 0;
}

}  // namespace
}  // namespace vprocfs_bench

int main(int argc, char** argv) { return vprocfs_bench::run(argc, argv); }
