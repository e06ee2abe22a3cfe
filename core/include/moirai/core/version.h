/* SPDX-License-Identifier: MIT */
/* The version of the library, at compile time and at run time, and how it was built. */
#ifndef MOIRAI_CORE_VERSION_H
#define MOIRAI_CORE_VERSION_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

/* The version of these headers. */
#define MOIRAI_VERSION_MAJOR 0
#define MOIRAI_VERSION_MINOR 1
#define MOIRAI_VERSION_PATCH 0

/* One comparable number: 0x00MMmmpp. */
#define MOIRAI_VERSION_NUMBER                                                         \
	((uint32_t)MOIRAI_VERSION_MAJOR << 16 | (uint32_t)MOIRAI_VERSION_MINOR << 8 | \
		(uint32_t)MOIRAI_VERSION_PATCH)

/** The version of the library that runs, "1.2.3". Static storage. Any thread. */
MOIRAI_API const char *moirai_version(void);

/**
 * The version of the library that runs as a number in the form of MOIRAI_VERSION_NUMBER; a program
 * compares the two to find that it runs with another library than it was compiled for.
 */
MOIRAI_API uint32_t moirai_version_number(void);

/* One fact about the build. Both strings have static storage. */
typedef struct moirai_build_fact {
	const char *key;   /* "compiler", "option.observer", ... */
	const char *value; /* never NULL */
} moirai_build_fact;

/**
 * The facts about this build (compiler, flags that matter, options, the system it is for), one by
 * one: index 0, 1, ... until NULL. Static storage. Any thread.
 */
MOIRAI_API const moirai_build_fact *moirai_build_info_at(size_t index);

/** The same as one line, "moirai 0.1.0 compiler=gcc-12.2.0 system=linux-x86_64 ...". Static. */
MOIRAI_API const char *moirai_build_info(void);

MOIRAI_END_DECLS

#endif
