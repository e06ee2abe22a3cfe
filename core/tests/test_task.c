/* SPDX-License-Identifier: MIT */
#include <moirai/core/task.h>

#include <moirai/core/internal/context.h>
#include <moirai/core/status.h>

#include "tap.h"

static void states_and_priorities_have_names(void)
{
	for (int s = MOIRAI_TASK_CREATED; s <= MOIRAI_TASK_CANCELLED; s++)
		CHECK(strcmp(moirai_task_state_name((moirai_task_state)s), "?") != 0);
	for (int p = MOIRAI_PRIORITY_IDLE; p <= MOIRAI_PRIORITY_CRITICAL; p++)
		CHECK(strcmp(moirai_priority_name((moirai_priority)p), "?") != 0);
	CHECK(strcmp(moirai_task_state_name(MOIRAI_TASK_PARKED), "parked") == 0);
	CHECK(strcmp(moirai_priority_name(MOIRAI_PRIORITY_NORMAL), "normal") == 0);
	CHECK(strcmp(moirai_priority_name(MOIRAI_PRIORITY_IDLE), "idle") == 0);
}

static void what_is_no_state_has_no_name(void)
{
	CHECK(strcmp(moirai_task_state_name((moirai_task_state)7), "?") == 0);
	CHECK(strcmp(moirai_task_state_name((moirai_task_state)-1), "?") == 0);
	CHECK(strcmp(moirai_priority_name((moirai_priority)3), "?") == 0);
	CHECK(strcmp(moirai_priority_name((moirai_priority)-3), "?") == 0);
}

static void no_attributes_are_the_defaults(void)
{
	moirai_task_attr out;
	CHECK(moirai_task_attr_read(&out, NULL) == 0);
	CHECK(out.size == sizeof(out) && out.priority == 0 && out.name == NULL &&
		out.cancel == NULL);
	CHECK(moirai_task_attr_read(NULL, NULL) == -EINVAL);
}

static void attributes_come_through(void)
{
	moirai_task_attr in = {.priority = MOIRAI_PRIORITY_CRITICAL,
				 .flags = MOIRAI_TASK_PINNED,
				 .name = "n",
				 .cost_ns = 1,
				 .deadline_ns = 2,
				 .user = &in,
				 .trace_id = 3},
			 out;
	CHECK(moirai_task_attr_read(&out, &in) == 0);
	CHECK(out.priority == 2 && out.flags == MOIRAI_TASK_PINNED && out.name == in.name);
	CHECK(out.cost_ns == 1 && out.deadline_ns == 2 && out.user == &in && out.trace_id == 3);
}

static void attributes_out_of_range_are_refused_with_a_detail(void)
{
	moirai_task_attr out, in = {.priority = 3};
	CHECK(moirai_task_attr_read(&out, &in) == -EINVAL &&
		strstr(moirai_error_detail(), "priority"));
	in = (moirai_task_attr){.priority = -3};
	CHECK(moirai_task_attr_read(&out, &in) == -EINVAL);
	in = (moirai_task_attr){.flags = 4};
	CHECK(moirai_task_attr_read(&out, &in) == -EINVAL &&
		strstr(moirai_error_detail(), "flags"));
	in = (moirai_task_attr){.reserved_ = 1};
	CHECK(moirai_task_attr_read(&out, &in) == -EINVAL);
	in = (moirai_task_attr){.size = 3};
	CHECK(moirai_task_attr_read(&out, &in) == -EINVAL);
	in = (moirai_task_attr){.size = 1u << 20};
	CHECK(moirai_task_attr_read(&out, &in) == -EINVAL);
}

static void older_and_newer_structs_are_understood(void)
{
	struct {
		moirai_task_attr attr;
		uint64_t more;
	} newer = {.attr = {.size = sizeof(newer), .priority = 1}, .more = 0};
	moirai_task_attr out;
	CHECK(moirai_task_attr_read(&out, &newer.attr) == 0 && out.priority == 1);
	newer.more = 1;
	CHECK(moirai_task_attr_read(&out, &newer.attr) == -E2BIG);
	moirai_task_attr older = {
		.size = offsetof(moirai_task_attr, user), .cost_ns = 5, .user = &older};
	CHECK(moirai_task_attr_read(&out, &older) == 0 && out.cost_ns == 5 && out.user == NULL);
}

static void names_are_cut_at_a_character(void)
{
	char name[MOIRAI_TASK_NAME_MAX + 1];
	CHECK(moirai_task_name_copy(name, NULL) == 0 && name[0] == 0);
	CHECK(moirai_task_name_copy(name, "walk") == 4 && strcmp(name, "walk") == 0);
	CHECK(moirai_task_name_copy(name, "0123456789012345678901234567890") == 31);
	CHECK(moirai_task_name_copy(name, "01234567890123456789012345678901234") == 31);
	/* The two-byte character would stand at 30 and 31. */
	CHECK(moirai_task_name_copy(name, "012345678901234567890123456789\xc3\xa9tail") == 30);
	CHECK(name[30] == 0);
}

static int described;

static int describe(struct moirai__context *context, struct moirai_ctx *ctx)
{
	described++;
	memset(ctx, 0, sizeof(*ctx));
	ctx->id = 42;
	ctx->worker = context->worker;
	return 0;
}

static void a_plain_thread_runs_no_task(void)
{
	moirai_ctx ctx;
	CHECK(moirai_ctx_current(&ctx) == -ENOENT);
	CHECK(moirai_ctx_current(NULL) == -EINVAL);
}

static void a_context_describes_its_task(void)
{
	moirai__context_ops ops = {.describe = describe}, none = {.describe = NULL};
	moirai__context context = {.ops = &ops, .worker = 3};
	moirai_ctx ctx;
	moirai__context_set(&context);
	CHECK(moirai_ctx_current(&ctx) == 0 && ctx.id == 42 && ctx.worker == 3 && described == 1);
	context.ops = &none;
	CHECK(moirai_ctx_current(&ctx) == -ENOTSUP);
	moirai__context_set(NULL);
	CHECK(moirai_ctx_current(&ctx) == -ENOENT);
}

TAP_MAIN(TEST(states_and_priorities_have_names), TEST(what_is_no_state_has_no_name),
	TEST(no_attributes_are_the_defaults), TEST(attributes_come_through),
	TEST(attributes_out_of_range_are_refused_with_a_detail),
	TEST(older_and_newer_structs_are_understood), TEST(names_are_cut_at_a_character),
	TEST(a_plain_thread_runs_no_task), TEST(a_context_describes_its_task))
