/* SPDX-License-Identifier: MIT */
/* All of executor. */
#ifndef MOIRAI_EXECUTOR_H
#define MOIRAI_EXECUTOR_H

#include <moirai/core.h>

#endif
