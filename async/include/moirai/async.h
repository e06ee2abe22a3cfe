/* SPDX-License-Identifier: MIT */
/* All of async. */
#ifndef MOIRAI_ASYNC_H
#define MOIRAI_ASYNC_H

#include <moirai/async/coroutine.h>
#include <moirai/core.h>

#endif
