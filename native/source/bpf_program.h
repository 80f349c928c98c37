#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <vector>

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

}  // namespace vprocfs
