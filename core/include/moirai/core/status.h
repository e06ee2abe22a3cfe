/* SPDX-License-Identifier: MIT */
/*
 * Errors are 0 or a negative errno value; results come through out parameters. Beside the value a
 * thread keeps one line of detail for the last failure, for people.
 */
#ifndef MOIRAI_CORE_STATUS_H
#define MOIRAI_CORE_STATUS_H

#include <errno.h>
#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

/** A short English phrase for a status; "unknown status" for what the library never returns. */
MOIRAI_API const char *moirai_strerror(int status);

/** The name of a status, "ETIMEDOUT" for -ETIMEDOUT; NULL for what the library never returns. */
MOIRAI_API const char *moirai_status_name(int status);

/**
 * What the last failing call of this thread had to say, or "". Valid until the thread's next call
 * into the library; a task reads it before it parks.
 */
MOIRAI_API const char *moirai_error_detail(void);

MOIRAI_END_DECLS

#endif
