/* SPDX-License-Identifier: MIT */
/* All of core: the vocabulary of the library. */
#ifndef MOIRAI_CORE_H
#define MOIRAI_CORE_H

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/base.h>
#include <moirai/core/cancel.h>
#include <moirai/core/clock.h>
#include <moirai/core/config.h>
#include <moirai/core/executor.h>
#include <moirai/core/log.h>
#include <moirai/core/observer.h>
#include <moirai/core/os.h>
#include <moirai/core/park.h>
#include <moirai/core/selectable.h>
#include <moirai/core/status.h>
#include <moirai/core/stream.h>
#include <moirai/core/task.h>
#include <moirai/core/version.h>

#endif
