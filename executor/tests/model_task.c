/* SPDX-License-Identifier: MIT */
/*
 * The end of a task under every schedule: finish against join, detach, cancel and time-outs. The cell
 * is freed exactly once, by whoever comes last; nobody touches it afterwards; what the task did is
 * seen by its joiner; no waiter sleeps for ever.
 *
 * Real are task.c and start() of loop.c. A worker is a thread; park is the futex below.
 */
#include "model.h"

#include "private.h"

static uint32_t set_badly(uint32_t *word, uint32_t bits)
{
	uint32_t old = moirai_load_acquire(word);
	moirai_store_release(word, old | bits);
	return old;
}

#include "planted_task.h"

/* --- what stands around them --- */

static struct pool pool;
static struct slab slab = {.class = &pool.cell_class};
static struct worker worker;
static struct fiber fiber;
static __thread struct worker *me;

static struct moirai_task *task; /* moirai_alloc memory: freed by put, so that late accesses show */
static int data;
static uint32_t ran;

struct worker *worker_self(void)
{
	return me;
}

void cell_put_remote(struct cell *cell)
{
	moirai_free(cell);
}

int moirai_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
	if (moirai_load_acquire(word) != expected)
		return -EAGAIN;
	if (deadline_ns == 0)
		return -ETIMEDOUT;
	return moirai_os_futex_wait(word, expected, deadline_ns);
}

unsigned moirai_unpark(const uint32_t *word, unsigned count)
{
	return (unsigned)moirai_os_futex_wake(word, count);
}

/*
 * The park of the task itself, as core does it: publish the node, light fence, ask cancelled(); and
 * its end by a canceller: heavy fence, look for the node, ask cancelled().
 */
static uint32_t node; /* 1: queued */

bool fiber_cancelled(moirai__parker *parker)
{
	(void)parker;
	return fiber.task != NULL && moirai_load_acquire(&fiber.task->state) & TASK_CANCEL;
}

static int park_task(void)
{
	moirai_store_release(&node, 1u);
	moirai_fence_light();
	if (fiber_cancelled(&fiber.park)) {
		moirai_store_relaxed(&node, 0u);
		return -ECANCELED;
	}
	while (moirai_load_acquire(&node) == 1)
		(void)moirai_os_futex_wait(&node, 1, MOIRAI_NEVER);
	return -ECANCELED;
}

int moirai__park_cancel(moirai__parker *parker)
{
	MODEL_CHECK(parker == &fiber.park); /* the link was published with the phase */
	moirai_fence_heavy();
	uint32_t queued = 1;
	if (moirai_load_relaxed(&node) != 1 || !moirai_cas_acq_rel(&node, &queued, 2u))
		return 0;
	(void)moirai_os_futex_wake(&node, 1);
	return 1;
}

/* Never reached here. */
struct moirai_task foreign_fork_trap;
struct foreign *foreign_known(const struct pool *p)
{
	(void)p;
	return NULL;
}
void side_disarm(struct moirai_task *t)
{
	(void)t;
	MODEL_CHECK(!"side block");
}
uint64_t cell_number(const struct cell *cell)
{
	(void)cell;
	return 0;
}
void fiber_post_slow(struct worker *w, enum post post, uintptr_t arg)
{
	(void)w, (void)post, (void)arg;
	MODEL_CHECK(!"post");
}
void fiber_mail_back(struct worker *w, struct fiber *f)
{
	(void)w, (void)f;
}
bool moirai__idle_notify_slow(struct moirai__idle *idle)
{
	(void)idle;
	return false;
}
uintptr_t fiber_mail(struct worker *w)
{
	(void)w;
	return 0;
}
void timers_fire(struct worker *w, struct timers *timers, uint64_t now_ns)
{
	(void)w, (void)timers, (void)now_ns;
}
void quiesce_check(struct pool *p)
{
	(void)p;
}
uintptr_t moirai__deque_pop_slow(struct moirai__deque *deque, size_t bottom)
{
	(void)deque, (void)bottom;
	return 0;
}
int moirai__deque_push_slow(struct moirai__deque *deque, uintptr_t item)
{
	(void)deque, (void)item;
	return -ENOMEM;
}
void moirai__yield_queue_enter_slow(struct moirai__yield_queue *queue)
{
	(void)queue;
}
uintptr_t moirai__queues_pick_slow(
	struct moirai__queues *queues, moirai__elsewhere_fn *elsewhere, void *arg)
{
	(void)queues, (void)elsewhere, (void)arg;
	return 0;
}
uintptr_t moirai__queues_drain(
	struct moirai__queues *queues, struct moirai__injector *injector, unsigned sharers)
{
	(void)queues, (void)injector, (void)sharers;
	return 0;
}
bool moirai__queues_any(const struct moirai__queues *queues)
{
	(void)queues;
	return false;
}
bool moirai__injector_any(const struct moirai__injector *injector)
{
	(void)injector;
	return false;
}
void moirai__injector_ready(struct moirai__injector *injector, uintptr_t item)
{
	(void)injector, (void)item;
}
enum moirai__found moirai__search_run(struct moirai__search *search, uintptr_t *item)
{
	(void)search, (void)item;
	return MOIRAI__FOUND_QUIT;
}
void moirai__park_left(moirai__park_ticket ticket)
{
	(void)ticket;
}
void moirai__stack_spill(struct moirai__stack_pool *stacks, struct moirai__stack_cache *cache,
	moirai__stack_class size_class)
{
	(void)stacks, (void)cache, (void)size_class;
}
void moirai__stack_retire(struct moirai__fiber *f)
{
	(void)f;
}
void moirai__fiber_leave_slow(struct moirai__fiber *from)
{
	(void)from;
}
void moirai__fiber_enter_slow(struct moirai__fiber *self)
{
	(void)self;
}
size_t moirai_task_name_copy(char *buffer, const char *name)
{
	(void)buffer, (void)name;
	return 0;
}

/* --- scenarios --- */

static void work(void *arg)
{
	(void)arg;
	MOIRAI_WR(data) = 7;
	task->result = &data;
	moirai_fetch_add_relaxed(&ran, 1u);
}

static void work_and_park(void *arg)
{
	work(arg);
	MODEL_CHECK(park_task() == -ECANCELED);
}

static void be_worker(void *arg)
{
	(void)arg;
	me = &worker;
	start(&worker, &fiber, task);
}

static void spawn(moirai_task_fn fn)
{
	worker.pool = &pool;
	fiber.base.owner = &worker;
	fiber.pool = &pool;
	worker.current = &fiber;
	task = moirai_alloc_zeroed(1, sizeof(*task));
	MODEL_CHECK(task != NULL);
	task->cell.slab = &slab; /* not the worker's: every put comes to cell_put_remote() */
	task->fn = fn;
	model_thread(be_worker, NULL);
}

static void joined(int rc, void *result)
{
	MODEL_CHECK(rc == 0);
	MODEL_CHECK(result == &data);
	MODEL_CHECK(MOIRAI_RD(data) == 7);
}

static void finish_meets_join(void)
{
	void *result = NULL;
	spawn(work);
	int rc = moirai_task_join(task, &result);
	joined(rc, result);
	model_join_all();
	MODEL_CHECK(worker.finished == 1 && ran == 1);
}

static void finish_meets_detach(void)
{
	spawn(work);
	MODEL_CHECK(moirai_task_detach(task) == 0);
	model_join_all();
	MODEL_CHECK(ran == 1);
}

static void finish_meets_a_deadline(void)
{
	void *result = NULL;
	spawn(work);
	int rc = moirai_task_join_until(task, &result, 0);
	if (rc == 0)
		joined(rc, result);
	else if (rc == -ETIMEDOUT && model_choose(2))
		MODEL_CHECK(moirai_task_detach(task) == 0);
	else
		joined(moirai_task_join(task, &result), &data);
	model_join_all();
}

static void finish_meets_try_join(void)
{
	void *result = NULL;
	spawn(work);
	int rc = moirai_task_try_join(task, &result);
	MODEL_CHECK(rc == 0 || rc == -EAGAIN);
	if (rc == 0)
		joined(rc, result);
	else
		MODEL_CHECK(moirai_task_detach(task) == 0);
	model_join_all();
}

static void cancel_meets_start_and_park(void)
{
	spawn(work_and_park);
	int rc = moirai_task_cancel(task);
	MODEL_CHECK(rc == 0);
	rc = moirai_task_join(task, NULL);
	MODEL_CHECK(rc == (ran ? 0 : -ECANCELED));
	MODEL_CHECK(ran == 0 || MOIRAI_RD(data) == 7);
	model_join_all();
	model_count(ran ? "ran" : "never ran");
}

static void cancel_meets_finish(void)
{
	spawn(work);
	int rc = moirai_task_cancel(task);
	MODEL_CHECK(rc == 0 || rc == -EALREADY);
	rc = moirai_task_join(task, NULL);
	MODEL_CHECK(rc == (ran ? 0 : -ECANCELED));
	model_join_all();
}

static void cancel_it(void *arg)
{
	(void)arg;
	int rc = moirai_task_cancel(task);
	MODEL_CHECK(rc == 0 || rc == -EALREADY);
}

static void cancel_meets_wait(void)
{
	/* Another user of the handle cancels while the owner waits; only then is it given back. */
	spawn(work_and_park);
	int canceller = model_thread(cancel_it, NULL);
	MODEL_CHECK(moirai_task_wait_until(task, MOIRAI_NEVER) == 0);
	model_join(canceller);
	int rc = moirai_task_join(task, NULL);
	MODEL_CHECK(rc == (ran ? 0 : -ECANCELED));
	model_join_all();
}

MODEL_MAIN(MODEL_CLEAN(finish_meets_join, .exhaust = true, .weak_cas_fails = 1, .spurious = 1),
	MODEL_CLEAN(finish_meets_detach, .exhaust = true),
	MODEL_CLEAN(finish_meets_a_deadline, .exhaust = true),
	MODEL_CLEAN(finish_meets_try_join, .exhaust = true),
	MODEL_CLEAN(cancel_meets_start_and_park, .exhaust = true),
	MODEL_CLEAN(cancel_meets_finish, .exhaust = true), MODEL_CLEAN(cancel_meets_wait),
	MODEL_FINDS(finish_meets_join, 1, ""), MODEL_FINDS(finish_meets_join, 2, "not ordered"),
	MODEL_FINDS(finish_meets_join, 3, ""), MODEL_FINDS(finish_meets_join, 4, ""),
	MODEL_FINDS(finish_meets_detach, 5, ""), MODEL_FINDS(finish_meets_detach, 6, ""),
	MODEL_FINDS(finish_meets_detach, 7, ""), MODEL_FINDS(cancel_meets_start_and_park, 8, ""),
	MODEL_FINDS(cancel_meets_start_and_park, 9, ""),
	MODEL_FINDS(cancel_meets_start_and_park, 10, "race"))
