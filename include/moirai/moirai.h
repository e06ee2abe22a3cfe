/* SPDX-License-Identifier: MIT */
/* Everything that this build of the library holds. */
#ifndef MOIRAI_MOIRAI_H
#define MOIRAI_MOIRAI_H

#include <moirai/components.h>

#ifdef MOIRAI_HAS_CORE
#include <moirai/core.h>
#endif
#ifdef MOIRAI_HAS_UTILS
#include <moirai/utils.h>
#endif
#ifdef MOIRAI_HAS_SCHEDULER
#include <moirai/scheduler.h>
#endif
#ifdef MOIRAI_HAS_ASYNC
#include <moirai/async.h>
#endif
#ifdef MOIRAI_HAS_EXECUTOR
#include <moirai/executor.h>
#endif

/** A space-separated list of the components in this build. Static memory. */
MOIRAI_API const char *moirai_components(void);

#endif
