/* SPDX-License-Identifier: MIT */
#include <moirai/utils.h>
