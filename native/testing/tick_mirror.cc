#include <linux/fuse.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "container/registry.h"
#include "fuse/files/all_files.h"
#include "fuse/server_parts.h"
#include "node/tree.h"
#include "state/state_file.h"
#include "testing/directory.h"
#include "testing/members.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {

/// What a GETATTR is answered with.
struct MirrorAttributes {
  uint64_t bytes = 0;
  uint64_t valid_us = 0;
};

constexpr auto members(const MirrorAttributes*) {
  using S = MirrorAttributes;
  return std::tuple(number("bytes", &S::bytes), number("validUs", &S::valid_us));
}

namespace {

/// `new TickMirror(sysfs, tickUs)`: the files of sysfs's devices/system/node in contract `tick`, as
/// the kernel asks for those of one container.
class TickMirrorObject : public Wrapped<TickMirrorObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    using T = TickMirrorObject;
    return DefineClass(env, "TickMirror",
                       {method<&T::lookup>("lookup"), method<&T::attributes>("attributes"),
                        method<&T::read>("read")});
  }

  explicit TickMirrorObject(const Napi::CallbackInfo& info) : Wrapped(info) {
    const auto given = arguments<std::string, uint32_t>(info);
    if (!given) return;
    const auto& [sysfs, tick_us] = *given;
    auto directory = open_directory(sysfs);
    if (directory) sysfs_ = std::move(directory.value());
    auto memory = directory ? StateFile::make_memfd() : Result<Fd>(directory.error());
    if (memory) memory_ = std::move(memory.value());
    auto state = memory ? StateFile::open(memory_.get(), &ignored_)
                        : Result<std::unique_ptr<StateFile>>(memory.error());
    if (!state) {
      throw_error(info.Env(), state.error());
      return;
    }
    state_ = std::move(state.value());
    host_ = std::make_unique<HostSource>(-1, sysfs_.get(), tick_us);
    ServerOptions options;
    options.tick = true;
    options.tick_us = tick_us;
    const auto has = [](const std::string& path) { return path == kDirectory; };
    parts_ = std::make_unique<ServerParts>(reply_, registry_, *host_, *state_, Tree(has), options);
    files_ = std::make_unique<AllFiles>(*parts_, true);
  }

 private:
  static constexpr const char* kDirectory = "sys/devices/system/node";

  /// The node of a file.
  Result<uint64_t> lookup(const std::string& name) {
    const NodeId directory(container_->id(), Tree::dir_index(kDirectory));
    const std::string_view with_end(name.c_str(), name.size() + 1);
    const auto answer = ask(&Files::lookup, FUSE_LOOKUP, directory, with_end);
    if (!answer) return answer.error();
    return as<fuse_entry_out>(answer.value()).nodeid;
  }

  Result<MirrorAttributes> attributes(uint64_t node) {
    const auto answer =
        ask(&Files::attributes, FUSE_GETATTR, NodeId(node), bytes(fuse_getattr_in{}));
    if (!answer) return answer.error();
    const auto out = as<fuse_attr_out>(answer.value());
    return MirrorAttributes{out.attr.size, out.attr_valid * 1'000'000 + out.attr_valid_nsec / 1000};
  }

  Result<std::string> read(uint64_t node) {
    fuse_read_in in{};
    in.size = 4096;
    return ask(&Files::read, FUSE_READ, NodeId(node), bytes(in));
  }

  template <typename T>
  static std::string bytes(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  template <typename T>
  static T as(const std::string& bytes) {
    T value{};
    std::memcpy(&value, bytes.data(), std::min(sizeof value, bytes.size()));
    return value;
  }

  /// What a request is answered with.
  Result<std::string> ask(Answer (Files::*handler)(const Request&), uint32_t opcode, NodeId node,
                          std::string_view argument) {
    fuse_in_header header{};
    header.len = static_cast<uint32_t>(sizeof header + argument.size());
    header.opcode = opcode;
    header.unique = unique_ += 2;
    header.nodeid = node.raw();
    const std::string sent = bytes(header).append(argument);
    const Request request =
        Request(reinterpret_cast<const uint8_t*>(sent.data()), sent.size()).paid_by(container_);
    parts_->answers.give(request.info(), (files_->of(node).*handler)(request));
    fuse_out_header out{};
    if (::pread(kernel_.get(), &out, sizeof out, at_) != sizeof out) return Error{EIO, "answer"};
    std::string answer(out.len - sizeof out, '\0');
    const ssize_t n =
        ::pread(kernel_.get(), answer.data(), answer.size(), at_ + static_cast<off_t>(sizeof out));
    at_ += out.len;
    if (n != static_cast<ssize_t>(answer.size())) return Error{EIO, "answer"};
    if (out.error != 0) return Error{-out.error, "answer"};
    return answer;
  }

  const Fd kernel_{::memfd_create("answers", MFD_CLOEXEC)};
  const Reply reply_{kernel_.get()};
  off_t at_ = 0;  ///< where the next answer begins
  uint64_t unique_ = 0;
  const CgroupMounts mounts_;
  const Resolver resolver_{mounts_, -1};
  Registry registry_{resolver_, SharedServices{}};
  const std::shared_ptr<Container> container_ = [] {
    ContainerDescription description;
    description.id = *ContainerId::make(IdentityHierarchy::kV2, 7);
    return std::make_shared<Container>(
        std::move(description), SharedServices{},
        std::make_shared<Tenant>(ContainerId(), nullptr, TenantRates{}));
  }();
  Fd sysfs_, memory_;
  std::string ignored_;
  std::unique_ptr<StateFile> state_;
  std::unique_ptr<HostSource> host_;
  std::unique_ptr<ServerParts> parts_;
  std::unique_ptr<AllFiles> files_;
};

}  // namespace

void add_tick_mirror(Napi::Object& exports) {
  exports.Set("TickMirror", TickMirrorObject::define(exports.Env()));
}

}  // namespace vprocfs
