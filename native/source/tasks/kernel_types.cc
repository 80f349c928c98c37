#include "source/tasks/kernel_types.h"

#include <fcntl.h>
#include <linux/btf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/fd.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr unsigned kMaxNesting = 16;
constexpr char kFile[] = "kernel/btf/vmlinux";

// Not in every <linux/btf.h> that we are built with.
constexpr uint32_t kKindTypeTag = 18;
constexpr uint32_t kKindEnum64 = 19;
constexpr uint32_t kLastKind = kKindEnum64;

uint32_t kind_of(const btf_type& type) { return BTF_INFO_KIND(type.info); }

/// What follows the header of a type.
size_t tail_of(const btf_type& type) {
  const size_t count = BTF_INFO_VLEN(type.info);
  switch (kind_of(type)) {
    case BTF_KIND_INT:
      return sizeof(uint32_t);
    case BTF_KIND_ARRAY:
      return sizeof(btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
      return count * sizeof(btf_member);
    case BTF_KIND_ENUM:
      return count * sizeof(btf_enum);
    case BTF_KIND_FUNC_PROTO:
      return count * sizeof(btf_param);
    case BTF_KIND_VAR:
      return sizeof(btf_var);
    case BTF_KIND_DATASEC:
      return count * sizeof(btf_var_secinfo);
    case kKindTypeTag - 1:  // BTF_KIND_DECL_TAG
      return sizeof(uint32_t);
    case kKindEnum64:
      return count * 3 * sizeof(uint32_t);
    default:
      return 0;
  }
}

}  // namespace

template <typename T>
T KernelTypes::at(size_t offset) const {
  T out{};
  if (offset + sizeof(T) <= pages_.size()) std::memcpy(&out, pages_.as<char>() + offset, sizeof(T));
  return out;
}

Result<KernelTypes> KernelTypes::parse(Mapping pages) {
  const Error malformed{EINVAL, kFile};
  KernelTypes out(std::move(pages));
  const auto header = out.at<btf_header>(0);
  const size_t size = out.pages_.size();
  if (header.magic != BTF_MAGIC || header.hdr_len < sizeof(header) || header.hdr_len > size) {
    return malformed;
  }
  const size_t room = size - header.hdr_len;
  if (header.type_off > room || header.type_len > room - header.type_off || header.str_off > room ||
      header.str_len > room - header.str_off) {
    return malformed;
  }
  const size_t begin = header.hdr_len + header.type_off;
  const size_t end = begin + header.type_len;
  out.strings_ = out.bytes().substr(header.hdr_len + header.str_off, header.str_len);
  // Room for all at once: growing leaves more behind.
  size_t count = 1;
  for (size_t at = begin; at + sizeof(btf_type) <= end; ++count) {
    at += sizeof(btf_type) + tail_of(out.at<btf_type>(at));
  }
  out.types_.reserve(count);
  out.types_.push_back(0);
  for (size_t at = begin; at + sizeof(btf_type) <= end;) {
    const auto type = out.at<btf_type>(at);
    // A kind that we do not know has a length that we do not know.
    if (kind_of(type) == 0 || kind_of(type) > kLastKind) return malformed;
    out.types_.push_back(static_cast<uint32_t>(at));
    at += sizeof(btf_type) + tail_of(type);
    if (at > end) return malformed;
  }
  return out;
}

std::string_view KernelTypes::name_at(uint32_t offset) const {
  if (offset >= strings_.size()) return {};
  const std::string_view rest = strings_.substr(offset);
  return rest.substr(0, std::min(rest.find('\0'), rest.size()));
}

std::optional<uint32_t> KernelTypes::find(uint32_t kind, std::string_view name) const {
  for (size_t id = 1; id < types_.size(); ++id) {
    const auto type = at<btf_type>(types_[id]);
    if (kind_of(type) == kind && name_at(type.name_off) == name) return static_cast<uint32_t>(id);
  }
  return std::nullopt;
}

std::optional<uint32_t> KernelTypes::member_bits(uint32_t id, std::string_view member,
                                                 unsigned depth) const {
  if (id >= types_.size() || depth > kMaxNesting) return std::nullopt;
  const auto type = at<btf_type>(types_[id]);
  const uint32_t kind = kind_of(type);
  if (kind == BTF_KIND_CONST || kind == BTF_KIND_VOLATILE || kind == BTF_KIND_TYPEDEF) {
    return member_bits(type.type, member, depth + 1);
  }
  if (kind != BTF_KIND_STRUCT && kind != BTF_KIND_UNION) return std::nullopt;
  const bool has_widths = BTF_INFO_KFLAG(type.info) != 0;
  for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info); ++i) {
    const auto m = at<btf_member>(types_[id] + sizeof(btf_type) + i * sizeof(btf_member));
    const uint32_t bits = has_widths ? BTF_MEMBER_BIT_OFFSET(m.offset) : m.offset;
    const std::string_view name = name_at(m.name_off);
    if (name == member) {
      const bool bit_field = has_widths && BTF_MEMBER_BITFIELD_SIZE(m.offset) != 0;
      return bit_field ? std::nullopt : std::optional<uint32_t>(bits);
    }
    if (!name.empty()) continue;
    if (const auto inner = member_bits(m.type, member, depth + 1)) return bits + *inner;
  }
  return std::nullopt;
}

std::optional<uint32_t> KernelTypes::offset(std::string_view structure,
                                            std::string_view member) const {
  const auto id = find(BTF_KIND_STRUCT, structure);
  const auto bits = id ? member_bits(*id, member, 0) : std::nullopt;
  if (!bits || *bits % 8 != 0) return std::nullopt;
  return *bits / 8;
}

std::optional<uint32_t> KernelTypes::size(std::string_view structure) const {
  const auto id = find(BTF_KIND_STRUCT, structure);
  if (!id) return std::nullopt;
  return at<btf_type>(types_[*id]).size;
}

std::optional<uint32_t> KernelTypes::function(std::string_view name) const {
  return find(BTF_KIND_FUNC, name);
}

std::optional<uint32_t> KernelTypes::enumerator(std::string_view enumeration,
                                                std::string_view name) const {
  const auto id = find(BTF_KIND_ENUM, enumeration);
  if (!id) return std::nullopt;
  const auto type = at<btf_type>(types_[*id]);
  for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info); ++i) {
    const auto e = at<btf_enum>(types_[*id] + sizeof(btf_type) + i * sizeof(btf_enum));
    if (name_at(e.name_off) == name) return static_cast<uint32_t>(e.val);
  }
  return std::nullopt;
}

Result<KernelTypes> KernelTypes::read(int sysfs_fd) {
  const Fd file(::openat(sysfs_fd, kFile, O_RDONLY | O_CLOEXEC));
  struct stat st {};
  if (!file || ::fstat(file.get(), &st) != 0) return Error{errno, kFile};
  auto pages = Mapping::of_zeros(static_cast<size_t>(st.st_size));
  if (!pages) return Error{st.st_size == 0 ? EINVAL : ENOMEM, kFile};
  const ssize_t n = read_up_to(file.get(), pages.as<char>(), pages.size(), 0);
  if (n < 0) return Error{errno, kFile};
  if (static_cast<size_t>(n) < pages.size()) return Error{EINVAL, kFile};
  return parse(std::move(pages));
}

uint32_t RequiredFields::found(const std::optional<uint32_t>& value, const std::string& name) {
  if (!value && !missing_) missing_ = Error{ENOENT, name};
  return value.value_or(0);
}

uint32_t RequiredFields::operator()(const char* structure, const char* member) {
  return found(types_.offset(structure, member), std::string(structure) + "." + member);
}

uint32_t RequiredFields::size(const char* structure) {
  return found(types_.size(structure), structure);
}

PidLayout pid_layout(RequiredFields& field) {
  PidLayout out{};
  out.level = field("pid", "level");
  out.numbers = field("pid", "numbers");
  out.number_size = field.size("upid");
  out.number_value = field("upid", "nr");
  out.number_namespace = field("upid", "ns");
  out.namespace_inum = field("pid_namespace", "ns") + field("ns_common", "inum");
  return out;
}

}  // namespace vprocfs
