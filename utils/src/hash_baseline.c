/* SPDX-License-Identifier: MIT */
#define HASH_KERNEL      moirai_hash_baseline
#define HASH_KERNEL_NAME "baseline"
#include "hash_kernel.h"
