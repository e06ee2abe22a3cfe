/* SPDX-License-Identifier: MIT */
/*
 * What attributes add to a task: a block beside the cell, only when one of them is given.
 *
 * The deadline and the token end in task_cancel(), on whatever thread fires them. Both are ended
 * before the task sets DONE: timers_disarm() and moirai_cancel_unregister() wait out a call in
 * progress, so neither ever sees a task whose cell is free.
 */
#include "private.h"

static struct fiber *fire_cancel(struct deadline *deadline)
{
	struct side *side = MOIRAI_CONTAINER_OF(deadline, struct side, deadline);
	(void)task_cancel(side->task);
	return NULL;
}

static void token_cancel(void *self, int reason)
{
	(void)reason;
	(void)task_cancel(self);
}

int side_attach(struct slab *sides, struct moirai_task *task, const moirai_task_attr *attr)
{
	int rc = 0;
	struct cell *cell = cell_get(sides, &rc);
	if (cell == NULL)
		return rc;
	struct side *side = MOIRAI_CONTAINER_OF(cell, struct side, cell);
	struct worker *worker = worker_self();
	struct moirai_task *parent = worker != NULL ? worker->current->task : NULL;
	side->task = task;
	side->cost_ns = attr->cost_ns;
	side->deadline_ns = attr->deadline_ns ? attr->deadline_ns : MOIRAI_NEVER;
	side->cancel = moirai_cancel_ref(attr->cancel);
	side->user = attr->user;
	side->trace_id = attr->trace_id;
	side->parent = parent != NULL ? task_id(parent) : 0;
	side->deadline = (struct deadline){.fire = fire_cancel};
	side->registered = false;
	moirai_task_name_copy(side->name, attr->name);
	task->side = side;
	task->flags |= TASK_SIDE;
	return 0;
}

int side_arm(struct moirai_task *task)
{
	struct side *side = task->side;
	struct pool *pool = task_pool(task);
	if (side->deadline_ns <= moirai_now() && side->deadline_ns != MOIRAI_NEVER) {
		(void)task_cancel(task);
	} else if (side->deadline_ns != MOIRAI_NEVER) {
		struct worker *worker = worker_self();
		uint32_t index = worker != NULL && worker->pool == pool
					 ? worker->index
					 : (uint32_t)((uintptr_t)side >> 8) % pool->worker_count;
		int rc = timers_arm(
			pool, &pool->workers[index].timers, &side->deadline, side->deadline_ns);
		if (rc < 0) {
			moirai_cancel_destroy(side->cancel);
			return rc;
		}
	}
	if (side->cancel != NULL) {
		side->callback = (moirai_cancel_callback){0};
		int rc = moirai_cancel_register(side->cancel, &side->callback, token_cancel, task);
		side->registered = rc == 0;
		if (rc < 0)
			(void)task_cancel(task); /* the token was cancelled before */
	}
	return 0;
}

void side_disarm(struct moirai_task *task)
{
	struct side *side = task->side;
	if (side->deadline.home != NULL)
		timers_disarm(&side->deadline);
	if (side->registered)
		(void)moirai_cancel_unregister(&side->callback);
	side->registered = false;
	moirai_cancel_destroy(side->cancel);
	side->cancel = NULL;
}
