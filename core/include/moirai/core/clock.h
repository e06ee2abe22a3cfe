/* SPDX-License-Identifier: MIT */
/* Time: monotonic nanoseconds, absolute deadlines. */
#ifndef MOIRAI_CORE_CLOCK_H
#define MOIRAI_CORE_CLOCK_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

#define MOIRAI_NS 1ull
#define MOIRAI_US 1000ull
#define MOIRAI_MS 1000000ull
#define MOIRAI_S  1000000000ull

/* The deadline that never comes. A deadline in the past (0, say) makes a blocking call a try. */
#define MOIRAI_NEVER UINT64_MAX

/** Monotonic nanoseconds since an arbitrary start; the virtual clock in model builds. About 22 ns. */
MOIRAI_API uint64_t moirai_now(void);

/** now + timeout_ns as an absolute deadline; saturates at MOIRAI_NEVER. */
MOIRAI_API uint64_t moirai_deadline_after(uint64_t timeout_ns);

MOIRAI_END_DECLS

#endif
