/* SPDX-License-Identifier: MIT */
/* Unstable. What happens in the child of a fork(). */
#ifndef MOIRAI_CORE_INTERNAL_FORK_H
#define MOIRAI_CORE_INTERNAL_FORK_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

/**
 * Calls fn in the child of every fork(), on its only thread, before fork() returns there. Once per
 * fn, from a constructor. No effect where there is no fork.
 */
MOIRAI_API void moirai__os_at_fork_child(void (*fn)(void));

MOIRAI_END_DECLS

#endif
