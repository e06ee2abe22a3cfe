/* SPDX-License-Identifier: MIT */
/* The version, and how this library was built. All of it is decided at compile time. */
#include <moirai/core/version.h>

#include <moirai/core/log.h>
#include <moirai/core/observer.h>

#define VERSION_TEXT_(x) #x
#define VERSION_TEXT(x)  VERSION_TEXT_(x)
#define VERSION_STRING                     \
	VERSION_TEXT(MOIRAI_VERSION_MAJOR) \
	"." VERSION_TEXT(MOIRAI_VERSION_MINOR) "." VERSION_TEXT(MOIRAI_VERSION_PATCH)

#if defined(__clang__)
#define VERSION_COMPILER                                                                           \
	"clang-" VERSION_TEXT(__clang_major__) "." VERSION_TEXT(__clang_minor__) "." VERSION_TEXT( \
		__clang_patchlevel__)
#else
#define VERSION_COMPILER                                                                 \
	"gcc-" VERSION_TEXT(__GNUC__) "." VERSION_TEXT(__GNUC_MINOR__) "." VERSION_TEXT( \
		__GNUC_PATCHLEVEL__)
#endif

#if defined(__x86_64__)
#define VERSION_PROCESSOR "x86_64"
#elif defined(__i386__)
#define VERSION_PROCESSOR "i386"
#elif defined(__aarch64__)
#define VERSION_PROCESSOR "aarch64"
#elif defined(__riscv)
#define VERSION_PROCESSOR "riscv"
#elif defined(__s390x__)
#define VERSION_PROCESSOR "s390x"
#else
#define VERSION_PROCESSOR "other"
#endif

#if defined(__linux__)
#define VERSION_SYSTEM "linux"
#elif defined(_WIN32)
#define VERSION_SYSTEM "windows"
#elif defined(__APPLE__)
#define VERSION_SYSTEM "macos"
#else
#define VERSION_SYSTEM "posix"
#endif

#ifdef __OPTIMIZE__
#define VERSION_OPTIMIZED "yes"
#else
#define VERSION_OPTIMIZED "no"
#endif

#ifdef MOIRAI_DEBUG
#define VERSION_DEBUG_ASSERTS "enabled"
#else
#define VERSION_DEBUG_ASSERTS "disabled"
#endif

#ifdef MOIRAI_NOISE
#define VERSION_NOISE "enabled"
#else
#define VERSION_NOISE "disabled"
#endif

#if MOIRAI_OBSERVER
#define VERSION_OBSERVER "enabled"
#else
#define VERSION_OBSERVER "disabled"
#endif

#if MOIRAI_TSAN
#define VERSION_SANITIZER "thread"
#elif MOIRAI_ASAN
#define VERSION_SANITIZER "address"
#else
#define VERSION_SANITIZER "none"
#endif

#if MOIRAI_LOG_FLOOR == MOIRAI_LOG_TRACE
#define VERSION_LOG_FLOOR "trace"
#elif MOIRAI_LOG_FLOOR == MOIRAI_LOG_DEBUG
#define VERSION_LOG_FLOOR "debug"
#elif MOIRAI_LOG_FLOOR == MOIRAI_LOG_INFO
#define VERSION_LOG_FLOOR "info"
#elif MOIRAI_LOG_FLOOR == MOIRAI_LOG_WARN
#define VERSION_LOG_FLOOR "warn"
#elif MOIRAI_LOG_FLOOR == MOIRAI_LOG_ERROR
#define VERSION_LOG_FLOOR "error"
#else
#define VERSION_LOG_FLOOR "off"
#endif

/* The list once; the table and the line are made from it. */
#define VERSION_FACTS(fact)                                                                     \
	fact("compiler", VERSION_COMPILER) fact("system", VERSION_SYSTEM "-" VERSION_PROCESSOR) \
		fact("optimized", VERSION_OPTIMIZED) fact("sanitizer", VERSION_SANITIZER)       \
			fact("option.debug_asserts", VERSION_DEBUG_ASSERTS)                     \
				fact("option.noise", VERSION_NOISE)                             \
					fact("option.observer", VERSION_OBSERVER)               \
						fact("option.log_floor", VERSION_LOG_FLOOR)

#define VERSION_ROW(key, value)  {key, value},
#define VERSION_WORD(key, value) " " key "=" value

static const moirai_build_fact version_facts[] = {VERSION_FACTS(VERSION_ROW)};

const char *moirai_version(void)
{
	return VERSION_STRING;
}

uint32_t moirai_version_number(void)
{
	return MOIRAI_VERSION_NUMBER;
}

const moirai_build_fact *moirai_build_info_at(size_t index)
{
	return index < MOIRAI_ARRAY_SIZE(version_facts) ? &version_facts[index] : NULL;
}

const char *moirai_build_info(void)
{
	return "moirai " VERSION_STRING VERSION_FACTS(VERSION_WORD);
}
