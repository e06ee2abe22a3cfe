/* SPDX-License-Identifier: MIT */
/* The interfaces that core declares, each implemented by a small fake and driven as users will. */
#include <moirai/core/executor.h>
#include <moirai/core/selectable.h>
#include <moirai/core/stream.h>

#include <moirai/core/atomic.h>
#include <moirai/core/os.h>
#include <moirai/core/park.h>

#include "tap.h"

/* --- an executor that runs tasks in place --- */

struct inline_executor {
	moirai_executor head;
	unsigned ran;
	bool closed;
};

static int inline_spawn(moirai_executor *executor, const moirai_task_attr *attr, moirai_task_fn fn,
	void *arg, moirai_task **task)
{
	struct inline_executor *me = (struct inline_executor *)(void *)executor;
	moirai_task_attr mine;
	int status = moirai_task_attr_read(&mine, attr);
	if (status < 0)
		return status;
	if (me->closed)
		return -ECANCELED;
	fn(arg);
	me->ran++;
	if (task)
		*task = (moirai_task *)(void *)me;
	return 0;
}

static int inline_shutdown(
	moirai_executor *executor, moirai_shutdown_mode mode, uint64_t deadline_ns)
{
	(void)mode;
	(void)deadline_ns;
	((struct inline_executor *)(void *)executor)->closed = true;
	return 0;
}

static const moirai_spawner_ops inline_spawner = {inline_spawn};
static const moirai_control_ops inline_control = {.shutdown = inline_shutdown};

static void add_one(void *arg)
{
	++*(int *)arg;
}

static void spawn_goes_through_the_table(void)
{
	struct inline_executor inl = {.head = {&inline_spawner, NULL, &inline_control}};
	moirai_task_attr odd = {.priority = 99};
	moirai_task *task = NULL;
	int runs = 0;
	CHECK(moirai_spawn(&inl.head, NULL, add_one, &runs, NULL) == 0);
	CHECK(moirai_spawn(&inl.head, NULL, add_one, &runs, &task) == 0 && task);
	CHECK(runs == 2 && inl.ran == 2);
	CHECK(moirai_spawn(&inl.head, &odd, add_one, &runs, NULL) == -EINVAL && runs == 2);
	CHECK(inl.head.control->shutdown(&inl.head, MOIRAI_SHUTDOWN_DRAIN, 0) == 0);
	CHECK(moirai_spawn(&inl.head, NULL, add_one, &runs, NULL) == -ECANCELED && runs == 2);
}

static void spawn_refuses_what_is_missing(void)
{
	struct inline_executor inl = {.head = {&inline_spawner, NULL, NULL}};
	moirai_executor mute = {NULL, NULL, NULL};
	int runs = 0;
	CHECK(moirai_spawn(NULL, NULL, add_one, &runs, NULL) == -EINVAL);
	CHECK(moirai_spawn(&inl.head, NULL, NULL, &runs, NULL) == -EINVAL);
	CHECK(moirai_spawn(&mute, NULL, add_one, &runs, NULL) == -ENOTSUP);
	CHECK(runs == 0);
}

/* --- a mailbox: one item, selectable --- */

struct mailbox {
	moirai_selectable head;
	uint32_t word; /* changes with every put and close */
	uint32_t item; /* 0: empty */
	uint32_t waiters, closed, passed_on;
};

static struct mailbox *mailbox_of(moirai_selectable *source)
{
	return (struct mailbox *)(void *)source;
}

static int mailbox_try_take(moirai_selectable *source, void *item)
{
	struct mailbox *box = mailbox_of(source);
	uint32_t found = moirai_exchange_acq_rel(&box->item, 0);
	if (!found)
		return moirai_load_acquire(&box->closed) ? -EPIPE : -EAGAIN;
	if (item)
		*(uint32_t *)item = found;
	return 0;
}

static int mailbox_register(moirai_selectable *source, moirai_arm *arm)
{
	struct mailbox *box = mailbox_of(source);
	arm->wait.word = &box->word;
	arm->wait.expected = moirai_load_acquire(&box->word);
	if (moirai_load_acquire(&box->item) || moirai_load_acquire(&box->closed))
		return -EAGAIN;
	moirai_fetch_add_relaxed(&box->waiters, 1);
	return 0;
}

static void mailbox_unregister(moirai_selectable *source, moirai_arm *arm)
{
	struct mailbox *box = mailbox_of(source);
	moirai_fetch_sub_relaxed(&box->waiters, 1);
	if ((arm->flags & MOIRAI_ARM_WOKEN) && !(arm->flags & MOIRAI_ARM_TAKEN)) {
		moirai_fetch_add_relaxed(&box->passed_on, 1);
		moirai_unpark(&box->word, 1);
	}
}

static const moirai_selectable_ops mailbox_ops = {
	mailbox_try_take, mailbox_register, mailbox_unregister};

static void mailbox_put(struct mailbox *box, uint32_t item)
{
	moirai_store_release(&box->item, item);
	moirai_fetch_add_release(&box->word, 1);
	moirai_unpark(&box->word, 1);
}

static void mailbox_close(struct mailbox *box)
{
	moirai_store_release(&box->closed, 1);
	moirai_fetch_add_release(&box->word, 1);
	moirai_unpark(&box->word, UINT32_MAX);
}

/* The way of a select, as selectable.h tells it: the index taken, or a status. */
static int select_once(moirai_selectable **sources, unsigned n, void *item, uint64_t deadline_ns)
{
	moirai_arm arms[8];
	moirai_park_case cases[8];
	for (;;) {
		int taken = -EAGAIN, status = 0;
		unsigned registered = 0;
		for (unsigned i = 0; i < n && taken == -EAGAIN; i++)
			if ((status = moirai_selectable_try_take(sources[i], item)) != -EAGAIN)
				return status == 0 ? (int)i : status;
		for (; registered < n; registered++) {
			status = moirai_selectable_register(sources[registered], &arms[registered]);
			if (status < 0)
				break;
			cases[registered] = arms[registered].wait;
		}
		bool ready = registered < n;
		for (unsigned i = 0; i < n && taken == -EAGAIN; i++)
			if (moirai_selectable_try_take(sources[i], item) == 0)
				taken = (int)i;
		int woken = taken < 0 && !ready ? moirai_park_any(cases, n, deadline_ns) : -EAGAIN;
		if (woken >= 0) {
			arms[woken].flags |= MOIRAI_ARM_WOKEN;
			status = moirai_selectable_try_take(sources[woken], item);
			if (status != -EAGAIN)
				arms[woken].flags |= MOIRAI_ARM_TAKEN;
			taken = status == 0 ? woken : status;
		}
		for (unsigned i = 0; i < registered; i++)
			CHECK(moirai_selectable_unregister(sources[i], &arms[i]) == 0);
		if (taken >= 0 || taken == -EPIPE)
			return taken;
		if (woken == -ETIMEDOUT || woken == -ECANCELED)
			return woken;
	}
}

static struct mailbox boxes[2];

static void put_later(void *arg)
{
	moirai_os_sleep(3 * MOIRAI_MS);
	mailbox_put(arg, 7);
}

static void close_later(void *arg)
{
	moirai_os_sleep(3 * MOIRAI_MS);
	mailbox_close(arg);
}

static moirai_selectable **both(void)
{
	static moirai_selectable *sources[2];
	memset(boxes, 0, sizeof(boxes));
	for (int i = 0; i < 2; i++) {
		boxes[i].head.ops = &mailbox_ops;
		sources[i] = &boxes[i].head;
	}
	return sources;
}

static void select_takes_what_is_there(void)
{
	moirai_selectable **sources = both();
	uint32_t item = 0;
	mailbox_put(&boxes[1], 9);
	CHECK(select_once(sources, 2, &item, 0) == 1 && item == 9);
	CHECK(select_once(sources, 2, &item, 0) == -ETIMEDOUT);
	CHECK(boxes[0].waiters == 0 && boxes[1].waiters == 0);
}

static void select_waits_for_the_first(void)
{
	for (int which = 0; which < 2; which++) {
		moirai_selectable **sources = both();
		moirai_os_thread thread;
		uint32_t item = 0;
		REQUIRE(moirai_os_thread_create(&thread, NULL, put_later, &boxes[which]) == 0);
		CHECK(select_once(sources, 2, &item, MOIRAI_NEVER) == which && item == 7);
		moirai_os_thread_join(thread);
		CHECK(boxes[0].waiters == 0 && boxes[1].waiters == 0);
	}
}

static void select_ends_when_a_source_closes(void)
{
	moirai_selectable **sources = both();
	moirai_os_thread thread;
	REQUIRE(moirai_os_thread_create(&thread, NULL, close_later, &boxes[1]) == 0);
	CHECK(select_once(sources, 2, NULL, MOIRAI_NEVER) == -EPIPE);
	moirai_os_thread_join(thread);
}

static void a_wake_up_that_was_not_used_is_passed_on(void)
{
	moirai_selectable **sources = both();
	moirai_arm arm;
	CHECK(moirai_selectable_register(sources[0], &arm) == 0);
	arm.flags |= MOIRAI_ARM_WOKEN;
	CHECK(moirai_selectable_unregister(sources[0], &arm) == 0 && boxes[0].passed_on == 1);
	CHECK(moirai_selectable_register(sources[0], &arm) == 0);
	arm.flags |= MOIRAI_ARM_WOKEN | MOIRAI_ARM_TAKEN;
	CHECK(moirai_selectable_unregister(sources[0], &arm) == 0 && boxes[0].passed_on == 1);
}

static void selectable_refuses_bad_arguments(void)
{
	moirai_selectable **sources = both();
	moirai_arm arm = {.flags = 0};
	CHECK(moirai_selectable_try_take(NULL, NULL) == -EINVAL);
	CHECK(moirai_selectable_register(NULL, &arm) == -EINVAL);
	CHECK(moirai_selectable_register(sources[0], NULL) == -EINVAL);
	CHECK(moirai_selectable_unregister(NULL, &arm) == -EINVAL);
	CHECK(moirai_selectable_unregister(sources[0], NULL) == -EINVAL);
	CHECK(moirai_selectable_unregister(sources[0], &arm) == -ENOENT);
	mailbox_put(&boxes[0], 1);
	CHECK(moirai_selectable_register(sources[0], &arm) == -EAGAIN);
	CHECK(moirai_selectable_unregister(sources[0], &arm) == -ENOENT);
}

/* --- a stream of numbers, and one that squares another --- */

struct numbers {
	moirai_stream head;
	uint64_t next, end;
	unsigned closes, destroys;
};

static int numbers_next(moirai_stream *stream, void *item, uint64_t deadline_ns)
{
	struct numbers *me = (struct numbers *)(void *)stream;
	if (me->next >= me->end)
		return -EPIPE;
	if (me->next == 2 && deadline_ns == 0)
		return -ETIMEDOUT;
	*(uint64_t *)item = me->next++;
	return 0;
}

static void numbers_close(moirai_stream *stream)
{
	struct numbers *me = (struct numbers *)(void *)stream;
	me->end = 0;
	me->closes++;
}

static void numbers_destroy(moirai_stream *stream)
{
	((struct numbers *)(void *)stream)->destroys++;
}

static moirai_selectable *numbers_selectable(moirai_stream *stream)
{
	(void)stream;
	return &boxes[0].head;
}

static const moirai_stream_ops numbers_ops = {
	numbers_next, numbers_close, numbers_destroy, numbers_selectable};

struct squares {
	moirai_stream head;
	moirai_stream *source;
};

static int squares_next(moirai_stream *stream, void *item, uint64_t deadline_ns)
{
	uint64_t n;
	int status =
		moirai_stream_next(((struct squares *)(void *)stream)->source, &n, deadline_ns);
	if (status == 0)
		*(uint64_t *)item = n * n;
	return status;
}

static const moirai_stream_ops squares_ops = {squares_next, NULL, NULL, NULL};

static void a_stream_delivers_in_order_and_ends(void)
{
	struct numbers numbers = {.head = {&numbers_ops, sizeof(uint64_t)}, .end = 5};
	struct squares squares = {
		.head = {&squares_ops, sizeof(uint64_t)}, .source = &numbers.head};
	uint64_t item, expected = 0;
	int status;
	while ((status = moirai_stream_next(&squares.head, &item, MOIRAI_NEVER)) == 0) {
		CHECK(item == expected * expected);
		expected++;
	}
	CHECK(status == -EPIPE && expected == 5);
	CHECK(moirai_stream_next(&squares.head, &item, MOIRAI_NEVER) == -EPIPE);
}

static void a_deadline_loses_no_item(void)
{
	struct numbers numbers = {.head = {&numbers_ops, sizeof(uint64_t)}, .next = 2, .end = 5};
	uint64_t item = 99;
	CHECK(moirai_stream_next(&numbers.head, &item, 0) == -ETIMEDOUT && item == 99);
	CHECK(moirai_stream_next(&numbers.head, &item, MOIRAI_NEVER) == 0 && item == 2);
}

static void a_stream_is_closed_and_destroyed(void)
{
	struct numbers numbers = {.head = {&numbers_ops, sizeof(uint64_t)}, .end = 5};
	struct squares squares = {
		.head = {&squares_ops, sizeof(uint64_t)}, .source = &numbers.head};
	uint64_t item;
	moirai_stream_close(&numbers.head);
	CHECK(moirai_stream_next(&numbers.head, &item, 0) == -EPIPE);
	moirai_stream_destroy(&numbers.head);
	CHECK(numbers.closes == 2 && numbers.destroys == 1);
	/* What an implementation leaves out is no error. */
	moirai_stream_close(&squares.head);
	moirai_stream_destroy(&squares.head);
	CHECK(moirai_stream_selectable(&squares.head) == NULL);
	CHECK(moirai_stream_selectable(&numbers.head) == &boxes[0].head);
	moirai_stream_close(NULL);
	moirai_stream_destroy(NULL);
	CHECK(moirai_stream_selectable(NULL) == NULL);
	CHECK(moirai_stream_next(NULL, &item, 0) == -EINVAL);
	CHECK(moirai_stream_next(&numbers.head, NULL, 0) == -EINVAL);
}

TAP_MAIN(TEST(spawn_goes_through_the_table), TEST(spawn_refuses_what_is_missing),
	TEST(select_takes_what_is_there), TEST(select_waits_for_the_first),
	TEST(select_ends_when_a_source_closes), TEST(a_wake_up_that_was_not_used_is_passed_on),
	TEST(selectable_refuses_bad_arguments), TEST(a_stream_delivers_in_order_and_ends),
	TEST(a_deadline_loses_no_item), TEST(a_stream_is_closed_and_destroyed))
