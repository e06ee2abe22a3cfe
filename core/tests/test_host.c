/* SPDX-License-Identifier: MIT */
/*
 * The machine that the tests run on is the one that the build was made for. A cross file that
 * forgot its compiler would test the native machine and look green; its `moirai_host` property
 * comes here as MOIRAI_HOST ("native" without a cross file).
 */
#include "tap.h"

#include <limits.h>

#include <moirai/core/os.h>
#ifndef _WIN32
#include <sys/utsname.h>
#endif

#if defined(__x86_64__)
#define CPU "x86_64"
#elif defined(__i386__)
#define CPU "i386"
#elif defined(__aarch64__)
#define CPU "aarch64"
#else
#define CPU "other"
#endif

#if defined(_WIN32)
#define SYSTEM "windows-" CPU
#elif defined(__linux__) && defined(__GLIBC__)
#define SYSTEM "linux-" CPU
#elif defined(__linux__)
#define SYSTEM "linux-" CPU "-musl"
#else
#define SYSTEM "other-" CPU
#endif

static void compiled_for_the_host_asked_for(void)
{
	DIAG("asked for %s, compiled for %s, OS layer %s", MOIRAI_HOST, SYSTEM, moirai_os_name());
	if (strcmp(MOIRAI_HOST, "native") == 0)
		SKIP("a native build");
	CHECK(strcmp(MOIRAI_HOST, SYSTEM) == 0);
}

static void running_on_that_host(void)
{
#ifdef _WIN32
	CHECK(strcmp(moirai_os_name(), "windows") == 0);
#else
	struct utsname machine;
	REQUIRE(uname(&machine) == 0);
	/* A 32-bit program may be told of the 64-bit kernel below it. */
	if (strcmp(CPU, "i386") == 0)
		CHECK(machine.machine[0] == 'i' || strcmp(machine.machine, "x86_64") == 0);
	else if (strcmp(CPU, "other") != 0)
		CHECK(strcmp(machine.machine, CPU) == 0);
#endif
	CHECK(sizeof(void *) * CHAR_BIT == (strcmp(CPU, "i386") == 0 ? 32 : 64) ||
		strcmp(CPU, "other") == 0);
}

static void os_layer_is_the_one_asked_for(void)
{
	CHECK(strcmp(moirai_os_name(), MOIRAI_OS) == 0);
}

TAP_MAIN(TEST(compiled_for_the_host_asked_for), TEST(running_on_that_host),
	TEST(os_layer_is_the_one_asked_for))
