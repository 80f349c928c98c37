#include "bpf/program.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vprocfs {

int bpf(int command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof(attributes)));
}

Result<Fd> make_bpf_map(bpf_map_type type, uint32_t key, uint32_t value, uint32_t count,
                        uint32_t flags) {
  bpf_attr a{};
  a.map_type = type;
  a.key_size = key;
  a.value_size = value;
  a.max_entries = count;
  a.map_flags = flags;
  Fd fd(bpf(BPF_MAP_CREATE, a));
  if (!fd) return Error{errno, "bpf map"};
  return fd;
}

Result<Fd> make_bpf_constants(const void* value, uint32_t size) {
  auto map = make_bpf_map(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), size, 1, BPF_F_RDONLY_PROG);
  if (!map) return map;
  const uint32_t first = 0;
  bpf_attr a{};
  a.map_fd = static_cast<uint32_t>(map.value().get());
  a.key = reinterpret_cast<uint64_t>(&first);
  a.value = reinterpret_cast<uint64_t>(value);
  if (bpf(BPF_MAP_UPDATE_ELEM, a) != 0) return Error{errno, "bpf map"};
  bpf_attr freeze{};
  freeze.map_fd = a.map_fd;
  if (bpf(BPF_MAP_FREEZE, freeze) != 0) return Error{errno, "bpf map"};
  return map;
}

void BpfProgram::set(std::string_view name, uint8_t kind, int fd) {
  for (const BpfReference& reference : references_) {
    if (name != reference.name) continue;
    bpf_insn instruction{};
    std::memcpy(&instruction, &instructions_[reference.instruction], sizeof(instruction));
    instruction.src_reg = kind & 0xf;
    instruction.imm = fd;
    std::memcpy(&instructions_[reference.instruction], &instruction, sizeof(instruction));
  }
}

Result<Fd> BpfProgram::load_named(std::string_view name, bpf_prog_type type, uint32_t expected,
                                  uint32_t function) const {
  static constexpr char kLicense[] = "Dual MIT/GPL";
  bpf_attr a{};
  a.prog_type = type;
  a.expected_attach_type = expected;
  a.insns = reinterpret_cast<uint64_t>(instructions_.data());
  a.insn_cnt = static_cast<uint32_t>(instructions_.size());
  a.license = reinterpret_cast<uint64_t>(kLicense);
  a.attach_btf_id = function;
  std::memcpy(a.prog_name, name.data(), name.size());
  Fd fd(bpf(BPF_PROG_LOAD, a));
  if (!fd) return Error{errno, "bpf program"};
  return fd;
}

}  // namespace vprocfs
