/* SPDX-License-Identifier: MIT */
#include <moirai/executor.h>
