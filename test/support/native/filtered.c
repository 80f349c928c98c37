// Runs a program under what a systemd unit forbids:
//
//   filtered [--eperm GROUP]... [--no-openat2] PROGRAM [ARGUMENT]...
//
// --eperm: the system calls of one of systemd's groups answer EPERM. --no-openat2: openat2(2) answers
// ENOSYS, as under RestrictSUIDSGID=.

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_INSTRUCTIONS 200

static struct sock_filter code[MAX_INSTRUCTIONS];
static unsigned short length;

static void add(struct sock_filter line) {
  if (length >= MAX_INSTRUCTIONS) exit(2);
  code[length++] = line;
}

static void refuse(int number, int error) {
  add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1));
  add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error));
}

struct group {
  const char* name;
  int calls[12];
};

// Of systemd.exec(5); those that this architecture has not are left out. Ended by a -1.
static const struct group groups[] = {
    {"@clock", {SYS_adjtimex, SYS_clock_adjtime, SYS_clock_settime, SYS_settimeofday, -1}},
    {"@module", {SYS_delete_module, SYS_finit_module, SYS_init_module, -1}},
    {"@raw-io",
     {
#ifdef SYS_iopl
         SYS_ioperm, SYS_iopl,
#endif
         -1}},
    {"@cpu-emulation",
     {
#ifdef SYS_modify_ldt
         SYS_modify_ldt,
#endif
         -1}},
    {"@obsolete",
     {
#ifdef SYS_ustat
         SYS_ustat, SYS_sysfs, SYS_uselib,
#endif
         -1}},
    {"@reboot", {SYS_kexec_load, SYS_reboot, -1}},
    {"@swap", {SYS_swapon, SYS_swapoff, -1}},
};

static void refuse_group(const char* name) {
  for (size_t i = 0; i < sizeof groups / sizeof groups[0]; ++i) {
    if (strcmp(groups[i].name, name) != 0) continue;
    for (const int* call = groups[i].calls; *call >= 0; ++call) refuse(*call, EPERM);
    return;
  }
  fprintf(stderr, "filtered: no group %s\n", name);
  exit(2);
}

int main(int argc, char** argv) {
  add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
  int at = 1;
  for (; at < argc; ++at) {
    if (strcmp(argv[at], "--no-openat2") == 0) {
      refuse(SYS_openat2, ENOSYS);
    } else if (strcmp(argv[at], "--eperm") == 0 && at + 1 < argc) {
      refuse_group(argv[++at]);
    } else {
      break;
    }
  }
  if (at >= argc) return 2;
  add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const struct sock_fprog filter = {.len = length, .filter = code};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return perror("seccomp"), 2;
  execvp(argv[at], argv + at);
  return perror(argv[at]), 127;
}
