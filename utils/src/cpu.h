/* SPDX-License-Identifier: MIT */
/* Private: what the processor says, before anybody takes something away. */
#ifndef MOIRAI_UTILS_SRC_CPU_H
#define MOIRAI_UTILS_SRC_CPU_H

#include <moirai/utils/cpu.h>

moirai_cpu_features moirai_cpu_probe(void);

#endif
