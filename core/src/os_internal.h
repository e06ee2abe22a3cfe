/* SPDX-License-Identifier: MIT */
/* What the files of the OS layer share; nothing outside core/src includes this. */
#ifndef MOIRAI_CORE_SRC_OS_INTERNAL_H
#define MOIRAI_CORE_SRC_OS_INTERNAL_H

#include <moirai/core/internal/fork.h>
#include <moirai/core/os.h>

/*
 * An expedited process-wide barrier. moirai__os_barrier_register() is called once at start: 0 when
 * moirai__os_barrier() will work from now on. Both have no effect but the barrier.
 */
int moirai__os_barrier_register(void);
int moirai__os_barrier(void);

#ifndef _WIN32
/* What os_unix.c asks of os_linux.c or os_posix.c. */
void moirai__os_thread_name(const char *name); /* names the calling thread */
int moirai__os_map_flags(unsigned flags);      /* extra flags for mmap() */
void moirai__os_map_advise(void *address, size_t size_bytes, unsigned flags);
size_t moirai__os_guards_max(void); /* how many protected guards are safe */
/* Installs guard markers: 0, or -ENOTSUP where the system has none. */
int moirai__os_guard_markers(char *address, size_t guard_bytes, size_t stride_bytes, size_t count);
#endif

#ifdef __linux__
/*
 * The CPU bandwidth that the calling process's cgroups grant, in processors, rounded up; UINT_MAX
 * without a limit. `root` is put before every path ("" for the real system): tests pass the folder
 * of a fake tree with proc/self/cgroup, proc/self/mountinfo and the mounts named there.
 */
MOIRAI_API unsigned moirai__os_cgroup_cpus(const char *root);
#endif

#endif
