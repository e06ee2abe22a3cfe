/* SPDX-License-Identifier: MIT */
#include <moirai/core.h>
