#include "source/cgroup_dir.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace vprocfs {
namespace {

Fd open_directory(int dir_fd, const char* name) {
  return Fd(::openat(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

bool is_kernels(int fd) {
  struct statfs fs {};
  if (::fstatfs(fd, &fs) != 0) return false;
  const auto type = static_cast<unsigned long>(fs.f_type);
  return type == CGROUP_SUPER_MAGIC || type == CGROUP2_SUPER_MAGIC;
}

}  // namespace

bool is_absence(int code) { return code == ENOENT || code == ENODEV || code == EOPNOTSUPP; }

Result<std::shared_ptr<const CgroupDir>> CgroupDir::open(const Hierarchy& tree,
                                                         const std::string& path) {
  std::shared_ptr<CgroupDir> dir(new CgroupDir());
  dir->label_ = tree.mount + path;
  dir->fd_ = open_directory(tree.root.get(), ".");
  if (!dir->fd_) return Error{errno, tree.mount};
  // Component by component, since a deep path of long names is longer than PATH_MAX.
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string name = path.substr(at, end - at);
    at = end + 1;
    if (name.empty()) continue;
    if (name == "." || name == "..") return Error{ENOENT, dir->label_};
    Fd next = open_directory(dir->fd(), name.c_str());
    if (!next) return Error{errno, dir->label_};
    dir->fd_ = std::move(next);
    ++dir->depth_;
  }
  dir->live_ = is_kernels(dir->fd());
  return std::shared_ptr<const CgroupDir>(std::move(dir));
}

bool CgroupDir::alive() const {
  return !live_ || ::faccessat(fd(), "cgroup.procs", F_OK, 0) == 0 || errno != ENOENT;
}

Error CgroupDir::error(int code, const char* name) const {
  return Error{code, label_ + "/" + name};
}

std::optional<Error> CgroupDir::climb(const Visit& visit) const {
  if (auto error = visit(fd(), 0)) return error;
  Fd parent;
  for (size_t level = 1; level <= depth_; ++level) {
    Fd next = open_directory(level == 1 ? fd() : parent.get(), "..");
    if (!next) return Error{errno, label_};
    parent = std::move(next);
    if (auto error = visit(parent.get(), level)) return error;
  }
  return std::nullopt;
}

std::optional<Error> OpenCgroupFile::reopen() {
  auto fd = open_file(dir_->fd(), name_);
  if (fd) {
    fd_ = std::move(fd.value());
    return std::nullopt;
  }
  const int code = fd.error().code;
  if (!is_absence(code)) return dir_->error(code, name_);
  if (!dir_->alive()) return dir_->gone();
  looked_ = true;
  return std::nullopt;
}

Result<std::optional<std::string_view>> OpenCgroupFile::read(ReadBuffer& buffer, bool probe) {
  // A second turn for a controller that was disabled and enabled again: its file is a new one.
  for (int turn = 0; turn < 2; ++turn) {
    if (!fd_ && (probe || !looked_)) {
      if (auto error = reopen()) return *error;
    }
    if (!fd_) break;
    const int code = buffer.read_record(fd_.get());
    if (code == 0) return std::optional<std::string_view>(buffer.text());
    if (!is_absence(code)) return dir_->error(code, name_);
    fd_.reset();
    looked_ = code == EOPNOTSUPP;
    if (!dir_->alive()) return dir_->gone();
  }
  return std::optional<std::string_view>();
}

Result<std::optional<std::string_view>> OpenCgroupFile::read_figures(ReadBuffer& buffer,
                                                                     bool probe) {
  auto text = read(buffer, probe);
  if (text && text.value() && text.value()->empty()) return dir_->gone();
  return text;
}

}  // namespace vprocfs
