#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/clock.h"
#include "base/directory.h"
#include "base/fd.h"
#include "source/cgroup_dir.h"
#include "source/parse.h"
#include "source/process.h"
#include "source/read_file.h"
#include "source/tasks/task_counter.h"

namespace vprocfs {
namespace {

/// Cgroups of one container that are looked into; a container may make as many as it likes.
constexpr size_t kMaxCgroups = 4096;
constexpr size_t kMaxOpenCgroups = 512;
/// Cgroups that are looked into however late it is: where the walk ends, tasks are missing in every
/// pass, unlike those that a pass does not reach.
constexpr size_t kMinCgroups = 64;
/// Tasks between two looks at the clock.
constexpr size_t kClockEvery = 16;
/// What a pass may take for one container, however many there are.
constexpr uint64_t kMinShareUs = 500;

/// What a pass is charged for: its own work, not how long others kept the CPU from it, or a busy
/// node would be shown estimates.
uint64_t spent_us() { return clock_us(CLOCK_THREAD_CPUTIME_ID); }

/// The names of the directories in a directory; none where it cannot be read.
std::vector<std::string> directories_in(int dir_fd) {
  std::vector<std::string> names;
  for_each_entry(open_directory(dir_fd, "."), [&](const dirent& entry) {
    if (entry.d_type == DT_DIR && entry.d_name[0] != '.') names.emplace_back(entry.d_name);
    return true;
  });
  return names;
}

using Tids = std::vector<uint32_t>;

void take_tids(std::string_view text, Tids& tids) {
  for_each_line(text, [&](std::string_view line) {
    const auto tid = parse_u64(line);
    if (tid && *tid > 0 && *tid <= INT32_MAX) tids.push_back(static_cast<uint32_t>(*tid));
  });
}

enum class Class { kOther, kRunning, kBlocked };

class ScanTaskCounter : public TaskCounter {
 public:
  ScanTaskCounter(const CgroupMounts& mounts, int procfs_fd, uint64_t budget_us)
      : mounts_(mounts), procfs_fd_(procfs_fd), budget_us_(budget_us) {}

  const char* name() const override { return "scan"; }

  Result<std::vector<TaskCount>> count(const std::vector<CountedCgroup>& cgroups) override {
    std::vector<TaskCount> out(cgroups.size());
    std::unordered_map<std::string, Last> all;
    const uint64_t end = spent_us() + budget_us_;
    const size_t first = cgroups.empty() ? 0 : turn_ % cgroups.size();
    bool late = false;
    for (size_t i = 0; i < cgroups.size(); ++i) {
      const size_t at = (first + i) % cgroups.size();
      const std::string key = key_of(cgroups[at]);
      Last last = std::move(last_[key]);
      const uint64_t now = spent_us();
      // Those that there is no time for stay what they were, and come first the next time.
      if (!late && i > 0 && now >= end) {
        late = true;
        turn_ = at;
      }
      if (!late) {
        const uint64_t left = now < end ? end - now : 0;
        const uint64_t share = std::max(left / (cgroups.size() - i), kMinShareUs);
        last.count = count_one(cgroups[at], now + share, last.active);
      }
      out[at] = last.count;
      all[key] = std::move(last);
    }
    last_ = std::move(all);
    return out;
  }

 private:
  /// What was found the last time.
  struct Last {
    TaskCount count;
    std::unordered_set<uint32_t> active;  ///< tasks that counted for the load
  };

  static std::string key_of(const CountedCgroup& cgroup) {
    return (cgroup.v1 ? std::to_string(static_cast<int>(*cgroup.v1)) : "") + ":" +
           std::to_string(cgroup.id);
  }

  /// The tasks of a cgroup and all below it until the time is up: each once, in their order.
  Tids tids_of(const CountedCgroup& cgroup, uint64_t until_us) {
    Tids tids;
    const Hierarchy* tree = mounts_.tree_of(cgroup.v1);
    if (tree == nullptr) return tids;
    const auto top = CgroupDir::open(*tree, cgroup.path);
    struct stat st {};
    // Another one may have been made under the same name.
    if (!top || ::fstat(top.value()->fd(), &st) != 0) return tids;
    if (cgroup.id != 0 && st.st_ino != cgroup.id) return tids;
    std::vector<Fd> todo;
    todo.push_back(Fd(::fcntl(top.value()->fd(), F_DUPFD_CLOEXEC, 3)));
    for (size_t seen = 0; !todo.empty() && seen < kMaxCgroups; ++seen) {
      const Fd at = std::move(todo.back());
      todo.pop_back();
      auto file = open_file(at.get(), tree->v2 ? "cgroup.threads" : "tasks");
      // Recorded trees, of which some have processes only.
      if (!file) file = open_file(at.get(), "cgroup.procs");
      if (file && buffer_.read_pieces(file.value().get()) == 0) take_tids(buffer_.text(), tids);
      // A directory has a link from each one in it, so that most need not be listed.
      if (::fstat(at.get(), &st) != 0 || st.st_nlink == 2) continue;
      if (seen + todo.size() >= kMinCgroups && spent_us() >= until_us) continue;
      for (const auto& name : directories_in(at.get())) {
        if (todo.size() >= kMaxOpenCgroups) break;
        Fd child(::openat(at.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (child) todo.push_back(std::move(child));
      }
    }
    // One that is moved meanwhile may be found in both cgroups.
    std::sort(tids.begin(), tids.end());
    tids.erase(std::unique(tids.begin(), tids.end()), tids.end());
    return tids;
  }

  Class class_of(uint32_t tid) {
    // Not its own <tid>/stat, for which the kernel adds up all threads of its process.
    const std::string name = std::to_string(tid);
    const auto file = open_file(procfs_fd_, name + "/task/" + name + "/stat");
    if (!file || buffer_.read_record(file.value().get()) != 0) return Class::kOther;
    // fs/proc/array.c: what is idle on purpose (TASK_NOLOAD) is "I".
    const std::string_view state = stat_field(buffer_.text(), StatField::kState);
    if (state == "R") return Class::kRunning;
    return state == "D" ? Class::kBlocked : Class::kOther;
  }

  TaskCount count_one(const CountedCgroup& cgroup, uint64_t until_us,
                      std::unordered_set<uint32_t>& active) {
    Tids tids = tids_of(cgroup, until_us);
    TaskCount out;
    out.total = tids.size();
    if (tids.empty()) return out;
    const uint32_t youngest = tids.back();
    const std::unordered_set<uint32_t> before = std::move(active);
    active.clear();
    const auto is_known = [&before](uint32_t tid) { return before.count(tid) != 0; };
    const auto middle = std::stable_partition(tids.begin(), tids.end(), is_known);
    const auto first = static_cast<size_t>(middle - tids.begin());
    out = look(tids, 0, first, until_us, active);
    const TaskCount others = look(tids, first, tids.size(), until_us, active);
    out.running += others.running;
    out.blocked += others.blocked;
    out.total = tids.size();
    const auto inner = read_inner_pid(procfs_fd_, static_cast<pid_t>(youngest));
    if (inner) out.last_pid = static_cast<uint64_t>(inner.value());
    return out;
  }

  /// Looks at the tasks from `begin` to `end`, beginning somewhere else each time, for as long as
  /// there is time; what is found stands for those that were not reached.
  TaskCount look(const Tids& tids, size_t begin, size_t end, uint64_t until_us,
                 std::unordered_set<uint32_t>& active) {
    TaskCount out;
    const size_t size = end - begin;
    size_t done = 0;
    size_t at = size == 0 ? 0 : next_ % size;
    // At least a few, however late it is: nothing at all would say that nobody runs.
    for (; done < size && (done % kClockEvery != 0 || done == 0 || spent_us() < until_us);
         ++done, ++at) {
      const uint32_t tid = tids[begin + at % size];
      const Class kind = class_of(tid);
      if (kind == Class::kOther) continue;
      active.insert(tid);
      ++(kind == Class::kRunning ? out.running : out.blocked);
    }
    if (done == 0 || done == size) return out;
    next_ += done;
    out.running = (out.running * size + done / 2) / done;
    out.blocked = (out.blocked * size + done / 2) / done;
    return out;
  }

  const CgroupMounts& mounts_;
  const int procfs_fd_;
  const uint64_t budget_us_;
  ReadBuffer buffer_;
  std::unordered_map<std::string, Last> last_;
  size_t turn_ = 0;  ///< who comes first
  size_t next_ = 0;
};

}  // namespace

std::unique_ptr<TaskCounter> make_scan_task_counter(const CgroupMounts& mounts, int procfs_fd,
                                                    uint64_t budget_us) {
  return std::make_unique<ScanTaskCounter>(mounts, procfs_fd, budget_us);
}

}  // namespace vprocfs
