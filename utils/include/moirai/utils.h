/* SPDX-License-Identifier: MIT */
/* All of utils. */
#ifndef MOIRAI_UTILS_H
#define MOIRAI_UTILS_H

#include <moirai/core.h>
#include <moirai/utils/affinity.h>
#include <moirai/utils/backoff.h>
#include <moirai/utils/bits.h>
#include <moirai/utils/cacheline.h>
#include <moirai/utils/cpu.h>
#include <moirai/utils/hash.h>
#include <moirai/utils/random.h>
#include <moirai/utils/stats.h>
#include <moirai/utils/topology.h>

#endif
