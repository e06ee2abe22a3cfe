/* SPDX-License-Identifier: MIT */
#define HASH_KERNEL      moirai_hash_avx512
#define HASH_KERNEL_NAME "avx512"
#include "hash_kernel.h"
