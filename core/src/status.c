/* SPDX-License-Identifier: MIT */
/*
 * Status values: names, phrases, and one line of detail per thread.
 *
 * The detail is a thread-local. A task may resume on another thread and compilers keep the address
 * of a thread-local in a register, so it is touched only inside functions that are never inlined.
 */
#include <moirai/core/status.h>

#include <stdarg.h>
#include <stdio.h>

#include <moirai/core/internal/status.h>

struct status_entry {
	int status;
	const char *name;
	const char *phrase;
};

/* Every status that the library returns. */
static const struct status_entry status_table[] = {
	{0, "OK", "success"},
	{-EPERM, "EPERM", "not permitted"},
	{-ENOENT, "ENOENT", "no such thing"},
	{-EINTR, "EINTR", "interrupted"},
	{-EIO, "EIO", "input/output error"},
	{-E2BIG, "E2BIG", "made for a newer version of the library"},
	{-EBADF, "EBADF", "bad file descriptor"},
	{-EAGAIN, "EAGAIN", "not now, try again"},
	{-ENOMEM, "ENOMEM", "out of memory"},
	{-EACCES, "EACCES", "access denied"},
	{-EFAULT, "EFAULT", "bad address"},
	{-EBUSY, "EBUSY", "in use"},
	{-EEXIST, "EEXIST", "exists already"},
	{-ENODEV, "ENODEV", "no such device"},
	{-ENOTDIR, "ENOTDIR", "not a directory"},
	{-EISDIR, "EISDIR", "is a directory"},
	{-EINVAL, "EINVAL", "invalid argument"},
	{-ENFILE, "ENFILE", "too many open files in the system"},
	{-EMFILE, "EMFILE", "too many open files"},
	{-EFBIG, "EFBIG", "file too large"},
	{-ENOSPC, "ENOSPC", "no space left"},
	{-EPIPE, "EPIPE", "closed"},
	{-ERANGE, "ERANGE", "out of range"},
	{-EDEADLK, "EDEADLK", "would wait for itself"},
	{-ENAMETOOLONG, "ENAMETOOLONG", "name too long"},
	{-ENOSYS, "ENOSYS", "not implemented by the system"},
	{-ELOOP, "ELOOP", "too many levels of links"},
	{-EOVERFLOW, "EOVERFLOW", "too large for its type or limit"},
	{-EILSEQ, "EILSEQ", "invalid byte sequence"},
	{-EPROTO, "EPROTO", "protocol error"},
	{-ENOTSUP, "ENOTSUP", "not supported"},
	{-ETIMEDOUT, "ETIMEDOUT", "the deadline has passed"},
	{-EALREADY, "EALREADY", "has happened already"},
	{-EINPROGRESS, "EINPROGRESS", "in progress"},
	{-ECANCELED, "ECANCELED", "cancelled"},
	{-EOWNERDEAD, "EOWNERDEAD", "its owner has died"},
	{-ENOTRECOVERABLE, "ENOTRECOVERABLE", "its state cannot be recovered"},
};

static const struct status_entry *status_find(int status)
{
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(status_table); i++)
		if (status_table[i].status == status)
			return &status_table[i];
	return NULL;
}

const char *moirai_strerror(int status)
{
	const struct status_entry *entry = status_find(status);
	return entry ? entry->phrase : "unknown status";
}

const char *moirai_status_name(int status)
{
	const struct status_entry *entry = status_find(status);
	return entry ? entry->name : NULL;
}

static __thread char status_detail[MOIRAI_ERROR_DETAIL_MAX];

MOIRAI_NOINLINE const char *moirai_error_detail(void)
{
	return status_detail;
}

MOIRAI_NOINLINE void moirai__error_detail_clear(void)
{
	status_detail[0] = 0;
}

/* Text that was cut may end in half a character: takes the half away. */
static void status_trim(char *text, size_t length)
{
	size_t start = length;
	while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start == 0 || (unsigned char)text[start - 1] < 0xc0)
		return;
	unsigned char lead = (unsigned char)text[--start];
	size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (length - start < wanted)
		text[start] = 0;
}

MOIRAI_NOINLINE int moirai__error_detailf(int status, const char *format, ...)
{
	/* Formatted aside: an argument may be the old detail. */
	char text[MOIRAI_ERROR_DETAIL_MAX];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length < 0)
		text[0] = 0;
	else if ((size_t)length >= sizeof(text))
		status_trim(text, sizeof(text) - 1);
	__builtin_memcpy(status_detail, text, sizeof(text));
	return status;
}
