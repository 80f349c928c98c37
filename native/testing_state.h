#pragma once

#include <napi.h>

#include <cerrno>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/fd.h"
#include "container/task_load.h"
#include "fuse/open_file.h"
#include "state/state_file.h"
#include "testing_source.h"
#include "testing_values.h"

namespace vprocfs {

/// `new State(bytes)`: a state file with the open files and the load averages that lie in it.
class StateObject : public Napi::ObjectWrap<StateObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "State",
                       {InstanceMethod<&StateObject::begin_load>("beginLoad"),
                        InstanceMethod<&StateObject::sample_load>("sampleLoad"),
                        InstanceMethod<&StateObject::end_load>("endLoad"),
                        InstanceMethod<&StateObject::open_file>("openFile"),
                        InstanceMethod<&StateObject::read_file>("readFile")});
  }

  explicit StateObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<StateObject>(info) {
    ValueReader reader(info.Env());
    const uint32_t bytes = reader.integer(info[0], "bytes", StateFile::kDefaultBytes);
    if (reader.failed()) return;
    auto opened = open(bytes);
    if (!opened) throw_error(info.Env(), opened.error());
  }

 private:
  using Loads = std::unordered_map<uint32_t, std::unique_ptr<TaskLoad>>;

  Loads::iterator find_load(ValueReader& reader, Napi::Value number) {
    const auto it = loads_.find(reader.integer(number, "load", last_load_));
    if (it == loads_.end()) reader.wrong("load", "a number that beginLoad gave");
    return it;
  }

  Result<bool> open(size_t bytes) {
    auto memory = StateFile::make_memfd(bytes);
    if (!memory) return memory.error();
    memory_ = std::move(memory.value());
    auto state = StateFile::open(memory_.get(), nullptr);
    if (!state) return state.error();
    state_ = std::move(state.value());
    files_ = std::make_unique<OpenFiles>(*state_);
    return true;
  }

  /// (key, initStartUs) -> the number of load averages
  Napi::Value begin_load(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const uint64_t key = reader.u64(info[0], "key");
    const uint64_t init_start_us = reader.u64(info[1], "initStartUs");
    if (reader.failed()) return info.Env().Undefined();
    loads_[++last_load_] =
        std::make_unique<TaskLoad>(CountedCgroup{}, key, init_start_us, state_.get());
    return ValueMaker(info.Env()).integer(last_load_);
  }

  /// (number, nowUs): they take a sample, and lie in the state file from then on.
  Napi::Value sample_load(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const auto it = find_load(reader, info[0]);
    const uint64_t now_us = reader.u64(info[1], "nowUs");
    if (!reader.failed()) it->second->take(TaskCount{}, now_us, now_us, true);
    return info.Env().Undefined();
  }

  /// (number): their container is gone.
  Napi::Value end_load(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const auto it = find_load(reader, info[0]);
    if (reader.failed()) return info.Env().Undefined();
    it->second->end();
    loads_.erase(it);
    return info.Env().Undefined();
  }

  /// (text) -> handle
  Napi::Value open_file(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    std::string text = reader.text(info[0], "text");
    if (reader.failed()) return info.Env().Undefined();
    const uint64_t handle =
        files_->insert(std::make_shared<OpenFile>(NodeId(1), nullptr, nullptr),
                       std::make_shared<Snapshot>(*state_, std::move(text), 0), ++last_request_);
    return ValueMaker(info.Env()).u64(handle);
  }

  /// (handle) -> its text; null when there is no such file.
  Napi::Value read_file(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const uint64_t handle = reader.u64(info[0], "handle");
    if (reader.failed()) return info.Env().Undefined();
    const auto file = files_->find(handle);
    const ValueMaker maker(info.Env());
    return file ? maker.text(std::string(file->snapshot()->text())) : maker.null();
  }

  Fd memory_;
  std::unique_ptr<StateFile> state_;  // outlives what lies in it
  std::unique_ptr<OpenFiles> files_;
  Loads loads_;
  uint32_t last_load_ = 0;
  uint64_t last_request_ = 0;
};

}  // namespace vprocfs
