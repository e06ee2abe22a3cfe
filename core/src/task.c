/* SPDX-License-Identifier: MIT */
/* The vocabulary of tasks: names, attributes, and the description of the task that calls. */
#include <moirai/core/task.h>

#include <string.h>

#include <moirai/core/internal/context.h>
#include <moirai/core/internal/status.h>
#include <moirai/core/status.h>

static const char *const task_state_names[] = {
	[MOIRAI_TASK_CREATED] = "created",
	[MOIRAI_TASK_QUEUED] = "queued",
	[MOIRAI_TASK_RUNNING] = "running",
	[MOIRAI_TASK_PARKED] = "parked",
	[MOIRAI_TASK_DONE] = "done",
	[MOIRAI_TASK_FAILED] = "failed",
	[MOIRAI_TASK_CANCELLED] = "cancelled",
};

static const char *const task_priority_names[] = {"idle", "low", "normal", "high", "critical"};
MOIRAI_STATIC_ASSERT(MOIRAI_ARRAY_SIZE(task_priority_names) == MOIRAI_PRIORITY_LEVELS,
	"every priority has a name");

const char *moirai_task_state_name(moirai_task_state state)
{
	size_t index = (size_t)state;
	return index < MOIRAI_ARRAY_SIZE(task_state_names) ? task_state_names[index] : "?";
}

const char *moirai_priority_name(moirai_priority priority)
{
	if ((int)priority < MOIRAI_PRIORITY_IDLE || (int)priority > MOIRAI_PRIORITY_CRITICAL)
		return "?";
	return task_priority_names[(int)priority - MOIRAI_PRIORITY_IDLE];
}

/* Is everything zero that a newer caller's struct has beyond ours? */
static bool task_attr_tail_zero(const moirai_task_attr *attr, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)attr;
	for (size_t i = sizeof(*attr); i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

static int task_attr_check(const moirai_task_attr *attr)
{
	if (attr->priority < MOIRAI_PRIORITY_IDLE || attr->priority > MOIRAI_PRIORITY_CRITICAL)
		return moirai__error_detailf(-EINVAL, "task priority %d is not in %d..%d",
			(int)attr->priority, MOIRAI_PRIORITY_IDLE, MOIRAI_PRIORITY_CRITICAL);
	if (attr->flags & ~(uint32_t)(MOIRAI_TASK_DETACHED | MOIRAI_TASK_PINNED))
		return moirai__error_detailf(
			-EINVAL, "unknown task flags 0x%x", (unsigned)attr->flags);
	if (attr->reserved_)
		return moirai__error_detailf(-EINVAL, "reserved task attribute is not zero");
	return 0;
}

/* A caller's struct of any real version holds at least the first fields, and is no wild number. */
#define TASK_ATTR_SIZE_MIN offsetof(moirai_task_attr, name)
#define TASK_ATTR_SIZE_MAX 4096

int moirai_task_attr_read(moirai_task_attr *out, const moirai_task_attr *attr)
{
	if (!out)
		return -EINVAL;
	moirai_task_attr copy;
	memset(&copy, 0, sizeof(copy));
	if (attr) {
		size_t size = attr->size ? attr->size : sizeof(*attr);
		if (size < TASK_ATTR_SIZE_MIN || size > TASK_ATTR_SIZE_MAX)
			return moirai__error_detailf(-EINVAL, "task attributes of %zu bytes", size);
		if (size > sizeof(*attr) && !task_attr_tail_zero(attr, size))
			return moirai__error_detailf(-E2BIG, "task attributes of a newer version");
		memcpy(&copy, attr, size < sizeof(copy) ? size : sizeof(copy));
		int status = task_attr_check(&copy);
		if (status < 0)
			return status;
	}
	copy.size = sizeof(copy);
	*out = copy;
	return 0;
}

size_t moirai_task_name_copy(char *buffer, const char *name)
{
	size_t length = 0;
	while (name && length < MOIRAI_TASK_NAME_MAX && name[length])
		length++;
	/* Cut in the middle of a character: go back to its first byte. */
	if (length == MOIRAI_TASK_NAME_MAX)
		while (length > 0 && ((unsigned char)name[length] & 0xc0) == 0x80)
			length--;
	if (length)
		memcpy(buffer, name, length);
	buffer[length] = 0;
	return length;
}

int moirai_ctx_current(moirai_ctx *ctx)
{
	if (!ctx)
		return -EINVAL;
	moirai__context *context = moirai__context_current();
	if (!context)
		return -ENOENT;
	if (!context->ops || !context->ops->describe)
		return -ENOTSUP;
	return context->ops->describe(context, ctx);
}
