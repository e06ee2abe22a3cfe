/* SPDX-License-Identifier: MIT */
#include <moirai/core/status.h>

#include <moirai/core/internal/status.h>
#include <moirai/core/os.h>

#include "tap.h"

/* What the documented functions of the library return. */
static const int statuses[] = {
	0,
	-EPERM,
	-ENOENT,
	-EINTR,
	-EIO,
	-E2BIG,
	-EBADF,
	-EAGAIN,
	-ENOMEM,
	-EACCES,
	-EFAULT,
	-EBUSY,
	-EEXIST,
	-ENODEV,
	-ENOTDIR,
	-EISDIR,
	-EINVAL,
	-ENFILE,
	-EMFILE,
	-EFBIG,
	-ENOSPC,
	-EPIPE,
	-ERANGE,
	-EDEADLK,
	-ENAMETOOLONG,
	-ENOSYS,
	-ELOOP,
	-EOVERFLOW,
	-EILSEQ,
	-EPROTO,
	-ENOTSUP,
	-ETIMEDOUT,
	-EALREADY,
	-EINPROGRESS,
	-ECANCELED,
	-EOWNERDEAD,
	-ENOTRECOVERABLE,
};

static void every_status_has_a_name_and_a_phrase_of_its_own(void)
{
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(statuses); i++) {
		const char *name = moirai_status_name(statuses[i]);
		const char *phrase = moirai_strerror(statuses[i]);
		CHECK(name && name[0] && phrase[0]);
		CHECK(strcmp(phrase, "unknown status") != 0);
		for (size_t j = 0; name && j < i; j++) {
			CHECK(strcmp(name, moirai_status_name(statuses[j])) != 0);
			CHECK(strcmp(phrase, moirai_strerror(statuses[j])) != 0);
		}
	}
}

static void names_are_those_of_errno(void)
{
	CHECK(strcmp(moirai_status_name(-ETIMEDOUT), "ETIMEDOUT") == 0);
	CHECK(strcmp(moirai_status_name(-ECANCELED), "ECANCELED") == 0);
	CHECK(strcmp(moirai_status_name(-ENOMEM), "ENOMEM") == 0);
	CHECK(strcmp(moirai_status_name(0), "OK") == 0);
}

static void what_the_library_never_returns_is_unknown(void)
{
	CHECK(moirai_status_name(ETIMEDOUT) == NULL);
	CHECK(moirai_status_name(-100000) == NULL);
	CHECK(moirai_status_name(INT32_MIN) == NULL);
	CHECK(strcmp(moirai_strerror(1), "unknown status") == 0);
	CHECK(strcmp(moirai_strerror(INT32_MAX), "unknown status") == 0);
}

static void a_detail_is_kept_until_the_next(void)
{
	moirai__error_detail_clear();
	CHECK(moirai_error_detail()[0] == 0);
	CHECK(moirai__error_detailf(-EINVAL, "line %d: %s", 7, "odd") == -EINVAL);
	CHECK(strcmp(moirai_error_detail(), "line 7: odd") == 0);
	/* The old text may be an argument of the new one. */
	CHECK(moirai__error_detailf(-EIO, "file: %s", moirai_error_detail()) == -EIO);
	CHECK(strcmp(moirai_error_detail(), "file: line 7: odd") == 0);
	moirai__error_detail_clear();
	CHECK(moirai_error_detail()[0] == 0);
}

static void a_long_detail_is_cut_at_a_character(void)
{
	char text[MOIRAI_ERROR_DETAIL_MAX * 2 + 1];
	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'x', sizeof(text));
		/* Euro signs, three bytes each, from `shift` on. */
		for (size_t i = shift; i + 3 < sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x82\xac", 3);
		text[sizeof(text) - 1] = 0;
		moirai__error_detailf(-EINVAL, "%s", text);
		size_t length = strlen(moirai_error_detail());
		CHECK(length < MOIRAI_ERROR_DETAIL_MAX && length >= MOIRAI_ERROR_DETAIL_MAX - 4);
		CHECK((length - shift) % 3 == 0);
		CHECK(memcmp(moirai_error_detail(), text, length) == 0);
	}
	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = 0;
	moirai__error_detailf(-EINVAL, "%s", text);
	CHECK(strlen(moirai_error_detail()) == MOIRAI_ERROR_DETAIL_MAX - 1);
}

static void other_thread(void *arg)
{
	CHECK(moirai_error_detail()[0] == 0);
	moirai__error_detailf(-EIO, "theirs");
	CHECK(strcmp(moirai_error_detail(), "theirs") == 0);
	(void)arg;
}

static void each_thread_has_its_own_detail(void)
{
	moirai_os_thread thread;
	moirai__error_detailf(-EIO, "mine");
	REQUIRE(moirai_os_thread_create(&thread, NULL, other_thread, NULL) == 0);
	moirai_os_thread_join(thread);
	CHECK(strcmp(moirai_error_detail(), "mine") == 0);
}

TAP_MAIN(TEST(every_status_has_a_name_and_a_phrase_of_its_own), TEST(names_are_those_of_errno),
	TEST(what_the_library_never_returns_is_unknown), TEST(a_detail_is_kept_until_the_next),
	TEST(a_long_detail_is_cut_at_a_character), TEST(each_thread_has_its_own_detail))
