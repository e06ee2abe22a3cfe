/* SPDX-License-Identifier: MIT */
#include <moirai/scheduler.h>
