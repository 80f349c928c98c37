#pragma once

#include <napi.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/fd.h"
#include "container/task_load.h"
#include "fuse/files/open_file.h"
#include "state/state_file.h"
#include "testing/source.h"
#include "testing/values.h"

namespace vprocfs {

/// `new State(bytes)`: a state file with the open files and the load averages that lie in it.
class StateObject : public Napi::ObjectWrap<StateObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "State",
        {InstanceMethod<&StateObject::begin_load>("beginLoad"),
         InstanceMethod<&StateObject::sample_load>("sampleLoad"),
         InstanceMethod<&StateObject::end_load>("endLoad"),
         InstanceMethod<&StateObject::loads>("loads"),
         InstanceMethod<&StateObject::open_file>("openFile"),
         InstanceMethod<&StateObject::read_file>("readFile"),
         InstanceMethod<&StateObject::restore_file>("restoreFile"),
         InstanceMethod<&StateObject::close_file>("closeFile"),
         InstanceMethod<&StateObject::hold_file>("holdFile"),
         InstanceMethod<&StateObject::renew_held>("renewHeld"),
         InstanceMethod<&StateObject::take_over>("takeOver"),
         InstanceMethod<&StateObject::add>("add"), InstanceMethod<&StateObject::remove>("remove"),
         InstanceMethod<&StateObject::records>("records"),
         InstanceMethod<&StateObject::records_of>("recordsOf")});
  }

  explicit StateObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<StateObject>(info) {
    ValueReader reader(info.Env());
    const uint32_t bytes = reader.integer(info[0], "bytes", StateFile::kDefaultBytes);
    if (reader.failed()) return;
    auto memory = StateFile::make_memfd(bytes);
    if (!memory) {
      throw_error(info.Env(), memory.error());
      return;
    }
    memory_ = std::move(memory.value());
    const auto opened = open();
    if (!opened) throw_error(info.Env(), opened.error());
  }

 private:
  using Loads = std::unordered_map<uint32_t, std::unique_ptr<TaskLoad>>;

  Loads::iterator find_load(ValueReader& reader, Napi::Value number) {
    const auto it = loads_.find(reader.integer(number, "load", last_load_));
    if (it == loads_.end()) reader.wrong("load", "a number that beginLoad gave");
    return it;
  }

  Result<std::string> open() {
    std::string ignored;
    auto state = StateFile::open(memory_.get(), &ignored);
    if (!state) return state.error();
    state_ = std::move(state.value());
    files_ = std::make_unique<OpenFiles>(*state_);
    files_->adopt([](NodeId node, ContainerId) {
      return std::make_shared<OpenFile>(node, nullptr, nullptr);
    });
    return ignored;
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

  /// () -> how many load averages lie in the state file
  Napi::Value loads(const Napi::CallbackInfo& info) {
    uint32_t count = 0;
    state_->for_each(RecordType::kLoad, [&](RecordIndex, uint64_t, size_t) { ++count; });
    return ValueMaker(info.Env()).integer(count);
  }

  /// (node, text) -> handle
  Napi::Value open_file(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const NodeId node(reader.u64(info[0], "node"));
    std::string text = reader.text(info[1], "text");
    if (reader.failed()) return info.Env().Undefined();
    const uint64_t handle = files_->insert(std::make_shared<OpenFile>(node, nullptr, nullptr),
                                           std::move(text), ++last_request_);
    return ValueMaker(info.Env()).u64(handle);
  }

  /// (node, handle) -> its text; null when there is no such file.
  Napi::Value read_file(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const NodeId node(reader.u64(info[0], "node"));
    const uint64_t handle = reader.u64(info[1], "handle");
    if (reader.failed()) return info.Env().Undefined();
    const auto file = files_->find(handle, node);
    const ValueMaker maker(info.Env());
    return file ? maker.text(std::string(file->snapshot()->text())) : maker.null();
  }

  /// (node, handle, text): registers a handle that another worker gave out.
  Napi::Value restore_file(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const NodeId node(reader.u64(info[0], "node"));
    const uint64_t handle = reader.u64(info[1], "handle");
    std::string text = reader.text(info[2], "text");
    if (reader.failed()) return info.Env().Undefined();
    files_->restore(handle, std::make_shared<OpenFile>(node, nullptr, nullptr), std::move(text));
    return info.Env().Undefined();
  }

  /// (node, handle)
  Napi::Value close_file(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const NodeId node(reader.u64(info[0], "node"));
    const uint64_t handle = reader.u64(info[1], "handle");
    if (!reader.failed()) files_->erase(handle, node);
    return info.Env().Undefined();
  }

  /// (node, handle): a reader of it has not ended when it is closed.
  Napi::Value hold_file(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const NodeId node(reader.u64(info[0], "node"));
    const uint64_t handle = reader.u64(info[1], "handle");
    if (!reader.failed()) held_ = files_->find(handle, node);
    return info.Env().Undefined();
  }

  /// (text): that reader is to be shown another text.
  Napi::Value renew_held(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    std::string text = reader.text(info[0], "text");
    if (!reader.failed() && held_) files_->renew(*held_, std::move(text));
    held_.reset();
    return info.Env().Undefined();
  }

  /// (damaged): another worker takes over, from a state file whose header is damaged or not. Load
  /// averages are forgotten. -> why it was ignored, "" when it was not
  Napi::Value take_over(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    if (!info[0].IsBoolean()) reader.wrong("damaged", "a boolean");
    if (reader.failed()) return info.Env().Undefined();
    loads_.clear();
    files_->hand_over();
    files_.reset();
    state_.reset();
    const bool damaged = info[0].As<Napi::Boolean>();
    if (damaged && ::pwrite(memory_.get(), "?", 1, 0) != 1) {
      return throw_error(info.Env(), {errno, "state file"});
    }
    auto ignored = open();
    if (!ignored) return throw_error(info.Env(), ignored.error());
    return ValueMaker(info.Env()).text(ignored.value());
  }

  /// (key, bytes) -> the index of a new record full of the key's low byte; 0: no room
  Napi::Value add(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const uint64_t key = reader.u64(info[0], "key");
    const uint32_t bytes = reader.integer(info[1], "bytes", 1 << 20);
    if (reader.failed()) return info.Env().Undefined();
    const RecordIndex record = state_->allocate(RecordType::kHistory, bytes);
    if (record != 0) {
      std::memset(state_->data(record), static_cast<uint8_t>(key), bytes);
      state_->publish(record, RecordType::kHistory, key, bytes);
    }
    return ValueMaker(info.Env()).integer(record);
  }

  /// (key, record)
  Napi::Value remove(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const uint64_t key = reader.u64(info[0], "key");
    const uint32_t record = reader.integer(info[1], "record", UINT32_MAX);
    if (!reader.failed()) state_->release(record, RecordType::kHistory, key);
    return info.Env().Undefined();
  }

  /// Adds a record to those in `out`, when it holds what add() has put there.
  void list(Napi::Array& out, RecordIndex record, uint64_t key, size_t bytes) {
    const uint8_t* data = state_->data(record);
    const bool whole = std::all_of(
        data, data + bytes, [key](uint8_t byte) { return byte == static_cast<uint8_t>(key); });
    if (!whole) return;
    const ValueMaker maker(out.Env());
    Napi::Object row = maker.object();
    row.Set("key", maker.u64(key));
    row.Set("record", maker.integer(record));
    row.Set("bytes", maker.integer(bytes));
    out.Set(out.Length(), row);
  }

  /// () -> what add() made and is whole: [{ key, record, bytes }], by record
  Napi::Value records(const Napi::CallbackInfo& info) {
    Napi::Array out = Napi::Array::New(info.Env());
    state_->for_each(RecordType::kHistory, [&](RecordIndex record, uint64_t key, size_t bytes) {
      list(out, record, key, bytes);
    });
    return out;
  }

  /// (key) -> the same, of one key
  Napi::Value records_of(const Napi::CallbackInfo& info) {
    ValueReader reader(info.Env());
    const uint64_t key = reader.u64(info[0], "key");
    Napi::Array out = Napi::Array::New(info.Env());
    if (reader.failed()) return out;
    state_->for_each_of(key, RecordType::kHistory,
                        [&](RecordIndex record, size_t bytes) { list(out, record, key, bytes); });
    return out;
  }

  Fd memory_;
  std::unique_ptr<StateFile> state_;  // outlives what lies in it
  std::unique_ptr<OpenFiles> files_;
  std::shared_ptr<OpenFile> held_;
  Loads loads_;
  uint32_t last_load_ = 0;
  uint64_t last_request_ = 0;
};

}  // namespace vprocfs
