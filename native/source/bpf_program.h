#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// Assembles a BPF program, one instruction per call. Registers are BPF_REG_0 to BPF_REG_10, the
/// last of which points above the stack.
class BpfProgram {
 public:
  /// A place further on in the program, to be jumped to.
  class Label {
    friend class BpfProgram;
    std::vector<size_t> jumps_;
  };

  void move(int to, int from) { emit(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
  void set(int to, int32_t value) { emit(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
  void add(int to, int32_t value) { emit(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value); }
  void add_register(int to, int from) { emit(BPF_ALU64 | BPF_ADD | BPF_X, to, from, 0, 0); }
  void multiply(int to, int32_t by) { emit(BPF_ALU64 | BPF_MUL | BPF_K, to, 0, 0, by); }
  void and_with(int to, int32_t mask) { emit(BPF_ALU64 | BPF_AND | BPF_K, to, 0, 0, mask); }
  void or_register(int to, int from) { emit(BPF_ALU64 | BPF_OR | BPF_X, to, from, 0, 0); }
  /// A constant of 64 bits.
  void set_wide(int to, uint64_t value) { wide(to, 0, value); }
  /// The map behind a descriptor.
  void set_map(int to, int map_fd) { wide(to, BPF_PSEUDO_MAP_FD, static_cast<uint32_t>(map_fd)); }

  void load32(int to, int from, int16_t at) { emit(BPF_LDX | BPF_MEM | BPF_W, to, from, at, 0); }
  void load64(int to, int from, int16_t at) { emit(BPF_LDX | BPF_MEM | BPF_DW, to, from, at, 0); }
  void store32(int to, int16_t at, int from) { emit(BPF_STX | BPF_MEM | BPF_W, to, from, at, 0); }
  void store64(int to, int16_t at, int from) { emit(BPF_STX | BPF_MEM | BPF_DW, to, from, at, 0); }

  void call(bpf_func_id helper) { emit(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
  void exit() { emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

  /// Jumps when `left` compares so (BPF_JEQ, BPF_JNE, BPF_JLT, BPF_JSET) with a constant.
  void jump_if(uint8_t comparison, int left, int32_t right, Label& target) {
    target.jumps_.push_back(code_.size());
    emit(static_cast<uint8_t>(BPF_JMP | comparison | BPF_K), left, 0, 0, right);
  }
  void jump_if_registers(uint8_t comparison, int left, int right, Label& target) {
    target.jumps_.push_back(code_.size());
    emit(static_cast<uint8_t>(BPF_JMP | comparison | BPF_X), left, right, 0, 0);
  }
  void jump(Label& target) {
    target.jumps_.push_back(code_.size());
    emit(BPF_JMP | BPF_JA, 0, 0, 0, 0);
  }
  /// The label stands here.
  void bind(const Label& label) {
    for (const size_t from : label.jumps_) {
      code_[from].off = static_cast<int16_t>(code_.size() - from - 1);
    }
  }

  const std::vector<bpf_insn>& code() const { return code_; }

 private:
  void emit(uint8_t code, int to, int from, int16_t at, int32_t value) {
    bpf_insn instruction{};
    instruction.code = code;
    instruction.dst_reg = static_cast<uint8_t>(to) & 0xf;
    instruction.src_reg = static_cast<uint8_t>(from) & 0xf;
    instruction.off = at;
    instruction.imm = value;
    code_.push_back(instruction);
  }
  void wide(int to, int kind, uint64_t value) {
    emit(BPF_LD | BPF_DW | BPF_IMM, to, kind, 0, static_cast<int32_t>(value & 0xffffffff));
    emit(0, 0, 0, 0, static_cast<int32_t>(value >> 32));
  }

  std::vector<bpf_insn> code_;
};

/// bpf(2): -1 and errno where it fails.
inline int bpf(int command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof(attributes)));
}

inline Result<Fd> make_bpf_map(bpf_map_type type, uint32_t key, uint32_t value, uint32_t count,
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

/// `expected` and `function` (a type id of KernelTypes) are for types of programs that want them.
template <size_t N>
Result<Fd> load_bpf_program(const char (&name)[N], const std::vector<bpf_insn>& code,
                            bpf_prog_type type, uint32_t expected = 0, uint32_t function = 0) {
  static_assert(N <= BPF_OBJ_NAME_LEN);
  static constexpr char kLicense[] = "Dual MIT/GPL";
  bpf_attr a{};
  a.prog_type = type;
  a.expected_attach_type = expected;
  a.insns = reinterpret_cast<uint64_t>(code.data());
  a.insn_cnt = static_cast<uint32_t>(code.size());
  a.license = reinterpret_cast<uint64_t>(kLicense);
  a.attach_btf_id = function;
  std::memcpy(a.prog_name, name, N);
  Fd fd(bpf(BPF_PROG_LOAD, a));
  if (!fd) return Error{errno, "bpf program"};
  return fd;
}

}  // namespace vprocfs
