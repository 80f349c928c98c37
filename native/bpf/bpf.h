#pragma once

// What programs for the kernel's BPF machine are written with. Only *.bpf.c include this.

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

// linux/bpf.h says what each does.
static void* (*const map_lookup)(void* map, const void* key) = (void*)BPF_FUNC_map_lookup_elem;
static long (*const map_update)(void* map, const void* key, const void* value,
                                uint64_t flags) = (void*)BPF_FUNC_map_update_elem;
static long (*const probe_read)(void* to, uint32_t size,
                                const void* from) = (void*)BPF_FUNC_probe_read_kernel;
static uint64_t (*const ktime_ns)(void) = (void*)BPF_FUNC_ktime_get_ns;

/// A map that the loader makes; code refers to it by its name.
struct Map {
  char unused;
};

/// Memory of the kernel at an address of its own. What cannot be read reads as 0.
INLINE uint32_t read32(const void* base, uint32_t offset) {
  uint32_t value = 0;
  probe_read(&value, sizeof(value), (const char*)base + offset);
  return value;
}

INLINE uint64_t read64(const void* base, uint32_t offset) {
  uint64_t value = 0;
  probe_read(&value, sizeof(value), (const char*)base + offset);
  return value;
}

INLINE const void* read_pointer(const void* base, uint32_t offset) {
  return (const void*)read64(base, offset);
}
