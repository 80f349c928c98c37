// What libraries make of the files that tell of CPUs, one "NAME NUMBER" in a line. Each function does
// what the library named does, so that those that are not installed are looked after too.
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CPU_DIRECTORY "/sys/devices/system/cpu"

/** glibc before 2.36, __get_nprocs_conf(): directories that are named cpu and a number. */
static long count_directories(void) {
  DIR *directory = opendir(CPU_DIRECTORY);
  if (directory == NULL) return -1;
  long count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (strncmp(entry->d_name, "cpu", 3) != 0) continue;
    char *end;
    const unsigned long number = strtoul(entry->d_name + 3, &end, 10);
    if (number != ~0ul && end != entry->d_name + 3 && *end == '\0') ++count;
  }
  closedir(directory);
  return count;
}

/** Reads a list of ranges. Returns how many ids are in it, and tells the highest. */
static long count_list(const char *path, long *highest) {
  FILE *file = fopen(path, "r");
  if (file == NULL) return -1;
  long count = 0, first, last;
  *highest = -1;
  while (fscanf(file, "%ld", &first) == 1) {
    last = first;
    int next = fgetc(file);
    if (next == '-') {
      if (fscanf(file, "%ld", &last) != 1) break;
      next = fgetc(file);
    }
    count += last - first + 1;
    if (last > *highest) *highest = last;
    if (next != ',') break;
  }
  fclose(file);
  return count;
}

/** .NET (src/coreclr/gc/unix/gcenv.unix.cpp): a mask that holds `configured` CPUs must be enough. */
static int mask_is_enough(long configured) {
  cpu_set_t *mask = CPU_ALLOC((size_t)configured);
  const int result = sched_getaffinity(0, CPU_ALLOC_SIZE((size_t)configured), mask);
  CPU_FREE(mask);
  return result == 0;
}

/** The highest id that sched_getcpu(3) gives on any CPU that we may run on. */
static long highest_cpu(void) {
  enum { MAX_CPUS = 8192 };
  const size_t size = CPU_ALLOC_SIZE(MAX_CPUS);
  cpu_set_t *one = CPU_ALLOC(MAX_CPUS);
  long highest = -1;
  for (int cpu = 0; cpu < MAX_CPUS; ++cpu) {
    // What is not allowed fails: what sched_getaffinity(2) says may be made up.
    CPU_ZERO_S(size, one);
    CPU_SET_S((size_t)cpu, size, one);
    if (sched_setaffinity(0, size, one) != 0) continue;
    const long now = sched_getcpu();
    if (now > highest) highest = now;
  }
  CPU_FREE(one);
  return highest;
}

int main(void) {
  long highest;
  const long directories = count_directories();
  const long possible = count_list(CPU_DIRECTORY "/possible", &highest);
  const long slots = highest + 1;  // libbpf, tcmalloc: arrays are indexed by id
  printf("directories %ld\npossible %ld\nslots %ld\n", directories, possible, slots);
  printf("mask %d\nindex %ld\n", mask_is_enough(possible), highest_cpu());
  printf("present %ld\n", count_list(CPU_DIRECTORY "/present", &highest));
  return 0;
}
