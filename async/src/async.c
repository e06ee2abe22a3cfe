/* SPDX-License-Identifier: MIT */
#include <moirai/async.h>
