/* SPDX-License-Identifier: MIT */
#define HASH_KERNEL      moirai_hash_avx2
#define HASH_KERNEL_NAME "avx2"
#include "hash_kernel.h"
