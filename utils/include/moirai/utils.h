/* SPDX-License-Identifier: MIT */
/* All of utils. */
#ifndef MOIRAI_UTILS_H
#define MOIRAI_UTILS_H

#include <moirai/core.h>

#endif
