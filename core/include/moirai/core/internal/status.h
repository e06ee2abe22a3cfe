/* SPDX-License-Identifier: MIT */
/* Unstable. How the library leaves the line that moirai_error_detail() returns. */
#ifndef MOIRAI_CORE_INTERNAL_STATUS_H
#define MOIRAI_CORE_INTERNAL_STATUS_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

/* Bytes of one line of detail, the terminating zero included; longer text is cut at a character. */
#define MOIRAI_ERROR_DETAIL_MAX 256

/** Formats the detail of the calling thread and returns status: `return moirai__error_detailf(...)`. */
MOIRAI_API int moirai__error_detailf(int status, const char *format, ...) MOIRAI_PRINTF(2, 3);

/** Forgets the detail of the calling thread. */
MOIRAI_API void moirai__error_detail_clear(void);

MOIRAI_END_DECLS

#endif
