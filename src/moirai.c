/* SPDX-License-Identifier: MIT */
/* The umbrella's only code: it says what is in the build. */
#include <moirai/moirai.h>

const char *moirai_components(void)
{
	return ""
#ifdef MOIRAI_HAS_CORE
	       "core"
#endif
#ifdef MOIRAI_HAS_UTILS
	       " utils"
#endif
#ifdef MOIRAI_HAS_SCHEDULER
	       " scheduler"
#endif
#ifdef MOIRAI_HAS_ASYNC
	       " async"
#endif
#ifdef MOIRAI_HAS_EXECUTOR
	       " executor"
#endif
		;
}
