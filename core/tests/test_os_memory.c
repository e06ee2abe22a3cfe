/* SPDX-License-Identifier: MIT */
/* Mappings, guards, random bytes. */
#include "tap.h"

#include <errno.h>
#ifndef _WIN32
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>
#endif

#include <moirai/core/atomic.h>
#include <moirai/core/internal/fault.h>
#include <moirai/core/os.h>

#define KIB 1024u
#define MIB (1024u * KIB)

static void page_size_is_a_power_of_two(void)
{
	size_t page = moirai_os_page_size();
	CHECK(page >= 4096 && (page & (page - 1)) == 0);
}

static void map_aligns_and_zeroes(void)
{
	size_t page = moirai_os_page_size();
	for (size_t alignment = page; alignment <= 4 * MIB; alignment *= 4) {
		char *memory = NULL;
		size_t size = 4 * page;
		REQUIRE(moirai_os_map((void **)&memory, size, alignment, 0) == 0);
		CHECK((uintptr_t)memory % alignment == 0);
		CHECK(memory[0] == 0 && memory[size - 1] == 0);
		memset(memory, 1, size);
		CHECK(moirai_os_unmap(memory, size) == 0);
	}
}

static void map_takes_every_flag(void)
{
	for (unsigned flags = 0; flags < 4; flags++) {
		char *memory = NULL;
		REQUIRE(moirai_os_map((void **)&memory, MIB, moirai_os_page_size(), flags) == 0);
		memory[0] = memory[MIB - 1] = 1;
		CHECK(moirai_os_unmap(memory, MIB) == 0);
	}
}

static void map_refuses_bad_arguments(void)
{
	size_t page = moirai_os_page_size();
	void *memory = NULL;
	CHECK(moirai_os_map(NULL, page, page, 0) == -EINVAL);
	CHECK(moirai_os_map(&memory, 0, page, 0) == -EINVAL);
	CHECK(moirai_os_map(&memory, page + 1, page, 0) == -EINVAL);
	CHECK(moirai_os_map(&memory, page, page / 2, 0) == -EINVAL);
	CHECK(moirai_os_map(&memory, page, page * 3, 0) == -EINVAL);
	CHECK(moirai_os_map(&memory, page, page, 1u << 30) == -EINVAL);
	CHECK(moirai_os_map(&memory, SIZE_MAX & ~(page - 1), 2 * page, 0) == -ENOMEM);
	CHECK(moirai_os_map(&memory, (SIZE_MAX - 16 * MIB) & ~(page - 1), page, 0) == -ENOMEM);
	CHECK(memory == NULL);
	CHECK(moirai_os_unmap(NULL, page) == -EINVAL);
	CHECK(moirai_os_unmap(&memory, 0) == -EINVAL);
	CHECK(moirai_os_discard(NULL, page) == -EINVAL);
}

static void map_fails_when_told_to(void)
{
	void *memory = NULL;
	size_t page = moirai_os_page_size();
	moirai__fault_arm(MOIRAI_FAULT_MAP, 1);
	CHECK(moirai_os_map(&memory, page, page, 0) == -ENOMEM);
	CHECK(memory == NULL);
	CHECK(moirai_os_map(&memory, page, page, 0) == 0);
	moirai__fault_arm(0, 0);
	CHECK(moirai_os_unmap(memory, page) == 0);
}

static void discarded_pages_read_zero(void)
{
	char *memory;
	size_t page = moirai_os_page_size();
	REQUIRE(moirai_os_map((void **)&memory, 4 * page, page, MOIRAI_OS_MAP_RESERVE) == 0);
	memset(memory, 1, 4 * page);
	CHECK(moirai_os_discard(memory + page, 2 * page) == 0);
	CHECK(memory[page] == 0 && memory[3 * page - 1] == 0);
	CHECK(memory[0] == 1 && memory[3 * page] == 1);
	memory[page] = 2;
	CHECK(memory[page] == 2);
	CHECK(moirai_os_discard(memory, 0) == 0);
	CHECK(moirai_os_unmap(memory, 4 * page) == 0);
}

#ifndef _WIN32
/* A byte is readable if the kernel can write it somewhere; no signal needed. */
static bool readable(const char *byte)
{
	int ends[2];
	if (pipe(ends) != 0)
		return false;
	bool ok = write(ends[1], byte, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return ok;
}
#else
static bool readable(const char *byte)
{
	/* Not <windows.h>: its names are everywhere. */
	__declspec(dllimport) int __stdcall IsBadReadPtr(const void *p, uintptr_t size);
	return !IsBadReadPtr(byte, 1);
}
#endif

static void check_guards(size_t stride, size_t count, moirai_os_guard_kind *kind)
{
	size_t page = moirai_os_page_size(), size = stride * count;
	char *memory;
	*kind = MOIRAI_OS_GUARD_NONE;
	REQUIRE(moirai_os_map((void **)&memory, size, page, MOIRAI_OS_MAP_RESERVE) == 0);
	CHECK(moirai_os_guard(memory, page, stride, count, kind) == 0);
	bool guarded = *kind != MOIRAI_OS_GUARD_NONE;
	for (size_t i = 0; i<count; i += count> 50 ? count / 50 : 1) {
		CHECK(readable(memory + i * stride) == !guarded);
		CHECK(readable(memory + i * stride + page - 1) == !guarded);
		memory[i * stride + page] = 1; /* what is not guarded can be used */
	}
	if (*kind == MOIRAI_OS_GUARD_MARKER) {
		CHECK(moirai_os_discard(memory, size) == 0);
		CHECK(!readable(memory) && memory[page] == 0);
	}
	CHECK(moirai_os_unmap(memory, size) == 0);
}

static void guards_fault_and_their_neighbours_do_not(void)
{
	moirai_os_guard_kind kind;
	size_t page = moirai_os_page_size();
	check_guards(4 * page, 1, &kind);
	CHECK(kind != MOIRAI_OS_GUARD_NONE);
	check_guards(4 * page, 3, &kind);
	CHECK(kind != MOIRAI_OS_GUARD_NONE);
	check_guards(4 * page, 1500, &kind); /* several batches and a rest */
	DIAG("kind of guard: %d", (int)kind);
}

static void protected_guards_are_given_back(void)
{
	/* More than the limit of the process in all, never much at a time. */
	moirai_os_guard_kind kind;
	size_t page = moirai_os_page_size();
	check_guards(2 * page, 1, &kind);
	if (kind != MOIRAI_OS_GUARD_PROTECT)
		SKIP("markers have no limit");
	for (int i = 0; i < 20; i++) {
		check_guards(2 * page, 2000, &kind);
		CHECK(kind == MOIRAI_OS_GUARD_PROTECT);
	}
}

static void too_many_protected_guards_are_refused_whole(void)
{
	moirai_os_guard_kind kind;
	size_t page = moirai_os_page_size();
	check_guards(2 * page, 1, &kind);
	if (kind != MOIRAI_OS_GUARD_PROTECT || strcmp(moirai_os_name(), "windows") == 0)
		SKIP("guards have no limit");
	check_guards(2 * page, 200000, &kind);
	CHECK(kind == MOIRAI_OS_GUARD_NONE);
	check_guards(2 * page, 1, &kind);
	CHECK(kind == MOIRAI_OS_GUARD_PROTECT);
}

static void guard_refuses_bad_arguments(void)
{
	size_t page = moirai_os_page_size();
	moirai_os_guard_kind kind;
	char *memory;
	REQUIRE(moirai_os_map((void **)&memory, 4 * page, page, 0) == 0);
	CHECK(moirai_os_guard(NULL, page, page, 1, &kind) == -EINVAL);
	CHECK(moirai_os_guard(memory, page, page, 1, NULL) == -EINVAL);
	CHECK(moirai_os_guard(memory, page, page, 0, &kind) == -EINVAL);
	CHECK(moirai_os_guard(memory, 0, page, 1, &kind) == -EINVAL);
	CHECK(moirai_os_guard(memory, page + 1, page, 1, &kind) == -EINVAL);
	CHECK(moirai_os_guard(memory, 2 * page, page, 2, &kind) == -EINVAL);
	CHECK(moirai_os_guard(memory, page, page + 1, 2, &kind) == -EINVAL);
	moirai__fault_arm(MOIRAI_FAULT_SYSCALL, 1);
	CHECK(moirai_os_guard(memory, page, page, 1, &kind) == -ENOMEM);
	moirai__fault_arm(0, 0);
	CHECK(kind == MOIRAI_OS_GUARD_NONE);
	memory[0] = 1;
	CHECK(moirai_os_unmap(memory, 4 * page) == 0);
}

static void random_bytes_differ(void)
{
	unsigned char first[1000] = {0}, second[1000] = {0}, zero[16] = {0};
	CHECK(moirai_os_random(first, sizeof(first)) == 0);
	CHECK(moirai_os_random(second, sizeof(second)) == 0);
	CHECK(memcmp(first, second, sizeof(first)) != 0);
	CHECK(memcmp(first + sizeof(first) - 16, zero, 16) != 0);
	CHECK(moirai_os_random(first, 0) == 0);
	CHECK(moirai_os_random(NULL, 0) == 0);
	CHECK(moirai_os_random(NULL, 1) == -EINVAL);
	moirai__fault_arm(MOIRAI_FAULT_SYSCALL, 1);
	CHECK(moirai_os_random(first, 1) == -EIO);
	moirai__fault_arm(0, 0);
}

#ifndef _WIN32
static void write_takes_the_whole_buffer(void)
{
	int ends[2];
	char text[] = "all of it", read_back[sizeof(text)] = {0};
	REQUIRE(pipe(ends) == 0);
	CHECK(moirai_os_write(ends[1], text, sizeof(text)) == 0);
	CHECK(read(ends[0], read_back, sizeof(read_back)) == (ssize_t)sizeof(text));
	CHECK(strcmp(text, read_back) == 0);
	CHECK(moirai_os_write(ends[1], NULL, 1) == -EINVAL);
	CHECK(moirai_os_write(ends[1], NULL, 0) == 0);
	close(ends[0]);
	close(ends[1]);
	CHECK(moirai_os_write(ends[1], text, 1) == -EBADF);
}
#else
static void write_takes_the_whole_buffer(void)
{
	CHECK(moirai_os_write(1, "# whole\n", 8) == 0);
	CHECK(moirai_os_write(1, NULL, 1) == -EINVAL);
}
#endif

TAP_MAIN(TEST(page_size_is_a_power_of_two), TEST(map_aligns_and_zeroes), TEST(map_takes_every_flag),
	TEST(map_refuses_bad_arguments), TEST(map_fails_when_told_to),
	TEST(discarded_pages_read_zero), TEST(guards_fault_and_their_neighbours_do_not),
	TEST(protected_guards_are_given_back), TEST(too_many_protected_guards_are_refused_whole),
	TEST(guard_refuses_bad_arguments), TEST(random_bytes_differ),
	TEST(write_takes_the_whole_buffer))
