/* SPDX-License-Identifier: MIT */
/* All of scheduler: it decides who runs next, owns no thread and runs nothing itself. */
#ifndef MOIRAI_SCHEDULER_H
#define MOIRAI_SCHEDULER_H

#include <moirai/core.h>
#include <moirai/scheduler/types.h>

#endif
