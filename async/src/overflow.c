/* SPDX-License-Identifier: MIT */
/*
 * The overflow report: a SIGSEGV or SIGBUS in the guard page of one of our stacks is told in words.
 *
 * The handler runs on the thread's alternate stack, for the fiber's own is used up. It only looks at
 * the fault's address, formats into a local buffer and calls write(2); then the former handler gets
 * the signal (a crash reporter, a sanitizer), or the default action does. Faults elsewhere go there
 * directly. The signal calls are made here and not in core: nobody else needs them.
 */
#include <moirai/async/coroutine.h>
#include <moirai/async/internal/stack.h>
#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/internal/lock.h>

#include <errno.h>
#include <string.h>

#include "registry.h"

#ifndef _WIN32

#include <signal.h>
#include <unistd.h>

static struct sigaction former[2]; /* of SIGSEGV and SIGBUS */
static moirai__lock install_lock;
static bool installed;

struct text {
	char bytes[256];
	size_t length;
};

static void text_add(struct text *text, const char *string)
{
	while (*string && text->length < sizeof(text->bytes))
		text->bytes[text->length++] = *string++;
}

static void text_add_number(struct text *text, uint64_t number)
{
	char digits[24];
	char *p = digits + sizeof(digits) - 1;
	*p = 0;
	do
		*--p = (char)('0' + number % 10);
	while (number /= 10);
	text_add(text, p);
}

static void report(const struct moirai__fiber *fiber, const struct moirai__stack_pool *pool)
{
	const char *name = NULL;
	uint64_t id = fiber->index;
	struct text text = {.length = 0};
	if (pool->attr.describe)
		pool->attr.describe(fiber, &name, &id);
	text_add(&text, "moirai: stack overflow: task '");
	text_add(&text, name ? name : "unnamed");
	text_add(&text, "' (id ");
	text_add_number(&text, id);
	text_add(&text, ") overflowed its ");
	text_add_number(&text, pool->slabs[fiber->stack_class].region_bytes >> 10);
	text_add(&text, " KiB stack\n");
	(void)!write(STDERR_FILENO, text.bytes, text.length);
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
	const struct moirai__stack_pool *pool = NULL;
	const struct moirai__fiber *fiber =
		info->si_code > 0 ? moirai__stack_guard_owner(info->si_addr, &pool) : NULL;
	const struct sigaction *next = &former[signal_number == SIGBUS];
	if (fiber)
		report(fiber, pool);
	if (next->sa_flags & SA_SIGINFO) {
		next->sa_sigaction(signal_number, info, context);
	} else if (next->sa_handler != SIG_DFL && next->sa_handler != SIG_IGN) {
		next->sa_handler(signal_number);
	} else {
		/* The default action, by doing it again: the faulting instruction for a real fault. */
		signal(signal_number, SIG_DFL);
		if (info->si_code <= 0)
			raise(signal_number);
	}
}

static int handlers_install(void)
{
	struct sigaction action;
	int rc = 0;
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_fault;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigemptyset(&action.sa_mask);
	moirai__lock_acquire(&install_lock);
	if (!installed) {
		if (sigaction(SIGSEGV, &action, &former[0]) ||
			sigaction(SIGBUS, &action, &former[1]))
			rc = -errno;
		installed = rc == 0;
	}
	moirai__lock_release(&install_lock);
	return rc;
}

MOIRAI_STATIC_ASSERT(
	sizeof(stack_t) <= sizeof(((struct moirai__overflow_thread *)0)->previous), "fits");

int moirai__overflow_enter(struct moirai__overflow_thread *thread)
{
	stack_t mine;
	stack_t previous;
	int rc = handlers_install();
	if (rc < 0)
		return rc;
	memset(&mine, 0, sizeof(mine));
	mine.ss_sp = thread->memory;
	mine.ss_size = MOIRAI__OVERFLOW_STACK;
	if (sigaltstack(&mine, &previous))
		return -errno;
	memcpy(thread->previous, &previous, sizeof(previous));
	return 0;
}

void moirai__overflow_leave(struct moirai__overflow_thread *thread)
{
	stack_t previous;
	memcpy(&previous, thread->previous, sizeof(previous));
	(void)sigaltstack(&previous, NULL);
}

#else

int moirai__overflow_enter(struct moirai__overflow_thread *thread)
{
	(void)thread;
	return -ENOTSUP;
}

void moirai__overflow_leave(struct moirai__overflow_thread *thread)
{
	(void)thread;
}

#endif

static __thread struct moirai__overflow_thread this_thread;

int moirai_overflow_report_enable(void)
{
	if (this_thread.memory)
		return 0;
	this_thread.memory = moirai_alloc(MOIRAI__OVERFLOW_STACK);
	if (!this_thread.memory)
		return -ENOMEM;
	int rc = moirai__overflow_enter(&this_thread);
	if (rc < 0) {
		moirai_free(this_thread.memory);
		this_thread.memory = NULL;
	}
	return rc;
}

void moirai_overflow_report_disable(void)
{
	if (!this_thread.memory)
		return;
	moirai__overflow_leave(&this_thread);
	moirai_free(this_thread.memory);
	this_thread.memory = NULL;
}
