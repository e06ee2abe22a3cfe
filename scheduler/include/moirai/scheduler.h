/* SPDX-License-Identifier: MIT */
/* All of scheduler. */
#ifndef MOIRAI_SCHEDULER_H
#define MOIRAI_SCHEDULER_H

#include <moirai/core.h>

#endif
