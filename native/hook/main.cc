// vprocfs-hook: the program that runtimes start as a hook. It executes the program that its
// arguments name. If that fails, as after a removal of vprocfs, it succeeds all the same, because a
// container must start. A shell would do too, but takes several times as long to start.
// install-hooks puts it where it outlives vprocfs.

#include <asm/unistd.h>

namespace {

/// install-hooks recognises its own file by this text (MARK of src/attach/hook-files.ts).
[[gnu::used]] const char kMark[] = "managed by vprocfs install-hooks";

#if defined(__x86_64__)

long call(long number, long a, long b, long c) {
  long result = number;
  asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

// The stack is as the kernel has left it: the number of arguments, then the arguments.
asm(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call "
    "vprocfs_hook\n");

#elif defined(__aarch64__)

long call(long number, long a, long b, long c) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
}

asm(".globl _start\n_start: mov x29, #0\n mov x30, #0\n mov x0, sp\n bl vprocfs_hook\n");

#else
#error "binding.gyp builds it for no other processor"
#endif

}  // namespace

extern "C" [[noreturn, gnu::used]] void vprocfs_hook(const long* stack) {
  const long count = stack[0];
  const long* const arguments = stack + 1;
  const long* const environment = arguments + count + 1;
  if (count > 1) {
    call(__NR_execve, arguments[1], reinterpret_cast<long>(arguments + 1),
         reinterpret_cast<long>(environment));
  }
  for (;;) call(__NR_exit_group, 0, 0, 0);
}
