/* SPDX-License-Identifier: MIT */
/* Private: the line of detail that moirai_error_detail() hands out. */
#ifndef MOIRAI_UTILS_SRC_DETAIL_H
#define MOIRAI_UTILS_SRC_DETAIL_H

#include <moirai/core/internal/status.h>

/* A call, so that `return utils_detail(-EINVAL, ...)` reads as what it is. */
#define utils_detail moirai__error_detailf

#endif
