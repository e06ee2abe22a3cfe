/* SPDX-License-Identifier: MIT */
#include <moirai/utils/topology.h>

#ifdef MOIRAI_HAVE_NUMA
#include <numa.h>

bool moirai_numa_available(void)
{
	/* -1: the kernel knows no NUMA policies. Cheap: one system call. */
	return numa_available() >= 0;
}

bool moirai_numa_built(void)
{
	return true;
}
#else
bool moirai_numa_available(void)
{
	return false;
}

bool moirai_numa_built(void)
{
	return false;
}
#endif
