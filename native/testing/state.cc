#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "base/fd.h"
#include "container/container.h"
#include "container/history_record.h"
#include "container/life.h"
#include "container/task_load.h"
#include "container/unseen_ends.h"
#include "fuse/files/open_file.h"
#include "state/state_file.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

/// A record that StateObject::add() has made.
struct MadeRecord {
  uint64_t key = 0;
  RecordIndex record = 0;
  size_t bytes = 0;
};
constexpr auto members(const MadeRecord*) {
  using S = MadeRecord;
  return std::tuple(member("key", &S::key), member("record", &S::record),
                    number("bytes", &S::bytes));
}

std::shared_ptr<OpenFile> file_of(NodeId node) {
  return std::make_shared<OpenFile>(node, nullptr, nullptr);
}

/// `new State(bytes)`: a state file with the open files and the load averages that lie in it.
class StateObject : public Wrapped<StateObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    using S = StateObject;
    return DefineClass(env, "State",
                       {method<&S::find_container>("findContainer"),
                        method<&S::join_container>("joinContainer"),
                        method<&S::note_idle>("noteIdle"),
                        method<&S::noted_idle>("notedIdle"),
                        method<&S::has_several>("hasSeveral"),
                        method<&S::end_container>("endContainer"),
                        method<&S::lives>("lives"),
                        method<&S::begin_container>("beginContainer"),
                        method<&S::finish_container>("finishContainer"),
                        method<&S::keep_counters>("keepCounters"),
                        method<&S::counters>("counters"),
                        method<&S::give_back_unseen>("giveBackUnseen"),
                        method<&S::lacks_room>("lacksRoom"),
                        method<&S::kept_counters>("keptCounters"),
                        method<&S::begin_load>("beginLoad"),
                        method<&S::sample_load>("sampleLoad"),
                        method<&S::end_load>("endLoad"),
                        method<&S::loads>("loads"),
                        method<&S::open_file>("openFile"),
                        method<&S::read_file>("readFile"),
                        method<&S::restore_file>("restoreFile"),
                        method<&S::open_files>("openFiles"),
                        method<&S::close_file>("closeFile"),
                        method<&S::hold_file>("holdFile"),
                        method<&S::renew_held>("renewHeld"),
                        method<&S::take_over>("takeOver"),
                        method<&S::add>("add"),
                        method<&S::remove>("remove"),
                        method<&S::records>("records"),
                        method<&S::records_of>("recordsOf")});
  }

  explicit StateObject(const Napi::CallbackInfo& info) : Wrapped(info) {
    const auto bytes = arguments<UpTo<StateFile::kDefaultBytes>>(info);
    if (!bytes) return;
    auto memory = StateFile::make_memfd(std::get<0>(*bytes));
    if (memory) memory_ = std::move(memory.value());
    const auto opened = memory ? open() : memory.error();
    if (!opened) throw_error(info.Env(), opened.error());
  }

 private:
  Result<std::string> open() {
    std::string ignored;
    auto state = StateFile::open(memory_.get(), &ignored);
    if (!state) return state.error();
    state_ = std::move(state.value());
    files_ = std::make_unique<OpenFiles>(*state_);
    files_->adopt([](NodeId) { return true; },
                  [](NodeId node, ContainerId) { return file_of(node); });
    return ignored;
  }

  /// When the life began that a container is in to this worker.
  Result<uint64_t> find_container(uint64_t key, uint64_t pid, uint64_t init_start_us) {
    const auto found = description_of(key, pid, init_start_us);
    const auto it = lives_.try_emplace(key, state_.get(), proc_.get(), found).first;
    it->second.join(found);
    return it->second.clock().init_start_us;
  }

  /// Another PID namespace of one that was found.
  Result<bool> join_container(uint64_t key, uint64_t pid, uint64_t init_start_us) {
    const auto it = lives_.find(key);
    if (it == lives_.end()) return Error{ENOENT, "container"};
    it->second.join(description_of(key, pid, init_start_us));
    return true;
  }

  /// The idle time to take off for one of its PID namespaces.
  Result<bool> note_idle(uint64_t key, uint64_t init_start_us, uint64_t idle_us) {
    const auto it = lives_.find(key);
    if (it == lives_.end()) return Error{ENOENT, "container"};
    it->second.note_idle_before(init_start_us, idle_us);
    return true;
  }
  Result<std::optional<uint64_t>> noted_idle(uint64_t key, uint64_t init_start_us) {
    const auto it = lives_.find(key);
    if (it == lives_.end()) return Error{ENOENT, "container"};
    return it->second.idle_before(init_start_us);
  }

  /// Whether it is known to have, or to have had, more than one PID namespace.
  Result<bool> has_several(uint64_t key) {
    const auto it = lives_.find(key);
    if (it == lives_.end()) return Error{ENOENT, "container"};
    return it->second.has_several();
  }

  /// The last of its PID namespaces has ended.
  Result<bool> end_container(uint64_t key) {
    const auto it = lives_.find(key);
    if (it == lives_.end()) return Error{ENOENT, "container"};
    it->second.drop();
    lives_.erase(it);
    return true;
  }

  /// A container with all that it keeps, which finish_container() ends.
  void begin_container(uint64_t key, uint64_t init_start_us) {
    SharedServices services;
    services.state = state_.get();
    services.procfs_fd = proc_.get();
    const auto found = description_of(key, static_cast<uint64_t>(::getpid()), init_start_us);
    containers_[key] = std::make_unique<Container>(found, services);
  }

  /// `goes_on`: another one goes on with its life.
  Result<bool> finish_container(uint64_t key, bool goes_on) {
    const auto it = containers_.find(key);
    if (it == containers_.end()) return Error{ENOENT, "container"};
    if (goes_on) it->second->leave_kept();
    it->second->mark_dead();
    containers_.erase(it);
    return true;
  }

  static ContainerDescription description_of(uint64_t key, uint64_t pid, uint64_t init_start_us) {
    ContainerDescription description;
    description.id = ContainerId::from_packed(key);
    description.init = static_cast<pid_t>(pid);
    description.init_start_us = init_start_us;
    return description;
  }

  /// Keeps counters as a version does that knows no lives: of a container that was `uptime_us` old.
  void keep_counters(uint64_t key, uint64_t init_start_us, uint64_t uptime_us) {
    CpuHistory history;
    history.uptime_us = uptime_us;
    LifeRecord(state_.get(), RecordType::kHistory, key, {init_start_us, {}})
        .save(pack_history(history));
  }

  /// How many containers have counters in the state file.
  uint32_t counters() { return count(RecordType::kHistory); }

  /// Gives back what is kept of containers that are gone: those with keys from `there` on have a
  /// cgroup. How often somebody looked.
  uint32_t give_back_unseen(uint64_t there) {
    UnseenEnds ends(
        state_.get(), [there](ContainerId id) { return id.packed() >= there; },
        [this](ContainerId id) { static_cast<void>(finish_container(id.packed(), false)); });
    uint32_t steps = 0;
    for (; ends.due_us() != 0; ++steps) ends.step();
    return steps;
  }

  /// Whether somebody was told that there is no room for counters, since they were last given back.
  bool lacks_room() {
    pollfd p{state_->lacks_room().fd(), POLLIN, 0};
    return ::poll(&p, 1, 0) > 0;
  }

  /// The age at which a container that was found has kept counters; null: it has none.
  Result<std::optional<uint64_t>> kept_counters(uint64_t key) {
    const auto it = lives_.find(key);
    if (it == lives_.end()) return Error{ENOENT, "container"};
    std::optional<uint64_t> uptime_us;
    LifeRecord(state_.get(), RecordType::kHistory, key, it->second.starts())
        .load([&](const void* data, size_t bytes) {
          CpuHistory history;
          if (!unpack_history(data, bytes, history)) return false;
          uptime_us = history.uptime_us;
          return true;
        });
    return uptime_us;
  }

  /// How many lives lie in the state file.
  uint32_t lives() { return count(RecordType::kLife); }

  uint32_t count(RecordType type) {
    uint32_t count = 0;
    state_->for_each(type, [&](RecordIndex, uint64_t, size_t) { ++count; });
    return count;
  }

  /// The number of load averages.
  uint32_t begin_load(uint64_t key, uint64_t init_start_us) {
    loads_[++last_load_] = std::make_unique<TaskLoad>(CountedCgroup{}, key,
                                                      LifeStarts{init_start_us, {}}, state_.get());
    return last_load_;
  }

  /// They take a sample, and lie in the state file from then on.
  Result<bool> sample_load(uint32_t load, uint64_t now_us) {
    const auto it = loads_.find(load);
    if (it == loads_.end()) return Error{ENOENT, "load"};
    it->second->take(TaskCount{}, now_us, now_us, true);
    return true;
  }

  /// Their container is gone.
  Result<bool> end_load(uint32_t load) {
    const auto it = loads_.find(load);
    if (it == loads_.end()) return Error{ENOENT, "load"};
    it->second->end();
    loads_.erase(it);
    return true;
  }

  /// How many load averages lie in the state file.
  uint32_t loads() { return count(RecordType::kLoad); }

  /// A handle.
  uint64_t open_file(uint64_t node, const std::string& text) {
    return files_->insert(file_of(NodeId(node)), text, ++last_request_);
  }

  /// Its text; null when there is no such file.
  std::optional<std::string> read_file(uint64_t node, uint64_t handle) {
    const auto file = files_->find(handle, NodeId(node));
    return file ? std::optional<std::string>(file->snapshot()->text()) : std::nullopt;
  }

  /// Registers a handle that another worker gave out.
  void restore_file(uint64_t node, uint64_t handle, const std::string& text) {
    files_->restore(handle, file_of(NodeId(node)), text);
  }

  /// How many there are.
  uint32_t open_files() { return static_cast<uint32_t>(files_->size()); }

  void close_file(uint64_t node, uint64_t handle) { files_->erase(handle, NodeId(node)); }

  /// A reader of it has not ended when it is closed.
  void hold_file(uint64_t node, uint64_t handle) { held_ = files_->find(handle, NodeId(node)); }

  /// That reader is to be shown another text.
  void renew_held(const std::string& text) {
    if (held_) files_->renew(*held_, text);
    held_.reset();
  }

  /// Another worker takes over, from a state file whose header is damaged or not. Load averages and
  /// containers are forgotten. Why it was ignored, "" when it was not.
  Result<std::string> take_over(bool damaged) {
    loads_.clear();
    lives_.clear();
    containers_.clear();
    files_->hand_over();
    files_.reset();
    state_.reset();
    if (damaged && ::pwrite(memory_.get(), "?", 1, 0) != 1) return Error{errno, "state file"};
    return open();
  }

  /// The index of a new record full of the key's low byte; 0: no room.
  RecordIndex add(uint64_t key, UpTo<1 << 20> bytes) {
    const RecordIndex record = state_->allocate(RecordType::kHistory, bytes);
    if (record != 0) {
      std::memset(state_->data(record), static_cast<uint8_t>(key), bytes);
      state_->publish(record, RecordType::kHistory, key, bytes);
    }
    return record;
  }

  void remove(uint64_t key, uint32_t record) { state_->release(record, RecordType::kHistory, key); }

  /// Whether it holds what add() has put there.
  static bool is_whole(uint64_t key, std::string_view content) {
    return std::all_of(content.begin(), content.end(), [key](char byte) {
      return static_cast<uint8_t>(byte) == static_cast<uint8_t>(key);
    });
  }

  /// What add() made and is whole, by record.
  std::vector<MadeRecord> records() {
    std::vector<MadeRecord> out;
    state_->for_each(RecordType::kHistory, [&](RecordIndex record, uint64_t key, size_t bytes) {
      const std::string_view content(reinterpret_cast<const char*>(state_->data(record)), bytes);
      if (is_whole(key, content)) out.push_back({key, record, bytes});
    });
    return out;
  }

  /// The same, of one key. `other`: whose records take their room as soon as the first is visited;
  /// 0: nobody's.
  std::vector<MadeRecord> records_of(uint64_t key, uint64_t other) {
    std::vector<MadeRecord> out;
    state_->for_each_of(key, RecordType::kHistory, [&](RecordIndex record, std::string_view is) {
      if (is_whole(key, is)) out.push_back({key, record, is.size()});
      if (other == 0 || out.size() > 1) return;
      state_->release_all({RecordType::kHistory}, key, {});
      for (size_t i = 0; i < kOthers; ++i) add(other, {static_cast<uint32_t>(is.size())});
    });
    return out;
  }

  static constexpr size_t kOthers = 16;

  const Fd proc_{::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  Fd memory_;
  std::unique_ptr<StateFile> state_;  // outlives what lies in it
  std::unique_ptr<OpenFiles> files_;
  std::shared_ptr<OpenFile> held_;
  std::unordered_map<uint32_t, std::unique_ptr<TaskLoad>> loads_;
  std::unordered_map<uint64_t, Life> lives_;
  std::unordered_map<uint64_t, std::unique_ptr<Container>> containers_;
  uint32_t last_load_ = 0;
  uint64_t last_request_ = 0;
};

}  // namespace

void add_state(Napi::Object& exports) { exports.Set("State", StateObject::define(exports.Env())); }

}  // namespace vprocfs
