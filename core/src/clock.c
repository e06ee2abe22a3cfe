/* SPDX-License-Identifier: MIT */
#include <moirai/core/clock.h>

#include <moirai/core/os.h>

uint64_t moirai_now(void)
{
	return moirai_os_clock();
}

uint64_t moirai_deadline_after(uint64_t timeout_ns)
{
	uint64_t deadline;
	bool late = __builtin_add_overflow(moirai_now(), timeout_ns, &deadline);
	return late ? MOIRAI_NEVER : deadline;
}
