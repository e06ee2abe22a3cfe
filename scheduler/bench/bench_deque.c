/* SPDX-License-Identifier: MIT */
/*
 * What the queues cost, alone: push + pop, a yield's swap, foreign push + take (processor time), and
 * a stolen item in batches with the victim on another thread (elapsed). One line per case: suite,
 * case, threads, unit, median of five.
 */
#include <moirai/core/clock.h>
#include <moirai/scheduler/internal/queues.h>

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 5 };
static const size_t operations = 20000000;

static struct moirai__queues queues;

static unsigned level_of(uintptr_t item)
{
	(void)item;
	return MOIRAI__LEVEL_NORMAL;
}

static const struct moirai__item_ops ops = {.level = level_of};

static void must(int rc)
{
	if (rc < 0)
		abort();
}

static void report(const char *name, unsigned threads, double *ns)
{
	for (unsigned i = 1; i < ROUNDS; i++) /* insertion sort: the median */
		for (unsigned j = i; j && ns[j] < ns[j - 1]; j--) {
			double t = ns[j];
			ns[j] = ns[j - 1];
			ns[j - 1] = t;
		}
	printf("deque\t%s\t%u\tns\t%.2f\n", name, threads, ns[ROUNDS / 2]);
}

static double push_pop(void)
{
	uint64_t start_ns = moirai_os_thread_cpu();
	uintptr_t sum = 0;
	for (size_t i = 1; i <= operations; i++) {
		must(moirai__queues_push(&queues, MOIRAI__LEVEL_NORMAL, i));
		sum += moirai__queues_pop(&queues);
	}
	if (sum != operations / 2 * (operations + 1))
		abort();
	return (double)(moirai_os_thread_cpu() - start_ns) / (double)operations;
}

static double deque_push_pop(void)
{
	struct moirai__deque *deque = &queues.deque_[0];
	uint64_t start_ns = moirai_os_thread_cpu();
	uintptr_t sum = 0;
	for (size_t i = 1; i <= operations; i++) {
		must(moirai__deque_push(deque, i));
		sum += moirai__deque_pop(deque);
	}
	if (sum != operations / 2 * (operations + 1))
		abort();
	return (double)(moirai_os_thread_cpu() - start_ns) / (double)operations;
}

static double yield_swap(void)
{
	for (uintptr_t i = 1; i <= 100; i++)
		must(moirai__yield_queue_push(&queues.yielded_, i));
	uint64_t start_ns = moirai_os_thread_cpu();
	uintptr_t self = 101;
	for (size_t i = 0; i < operations; i++) {
		self = moirai__yield_queue_swap(&queues.yielded_, self, NULL);
		moirai__yield_queue_close(&queues.yielded_);
	}
	double ns = (double)(moirai_os_thread_cpu() - start_ns) / (double)operations;
	while (moirai__yield_queue_pop(&queues.yielded_))
		;
	return ns;
}

static double foreign_push_take(void)
{
	static struct moirai__injector injector;
	struct moirai__producer *producer;
	uintptr_t items[MOIRAI__TAKE_MAX];
	moirai__injector_init(&injector, NULL);
	must(moirai__injector_join(&injector, &producer));
	uint64_t start_ns = moirai_os_thread_cpu();
	for (size_t i = 0; i < operations / 32; i++) {
		for (uintptr_t k = 1; k <= 32; k++)
			must(moirai__producer_push(producer, k));
		while (moirai__injector_take(&injector, items, MOIRAI__TAKE_MAX, 1))
			;
	}
	double ns = (double)(moirai_os_thread_cpu() - start_ns) / (double)(operations / 32 * 32);
	moirai__injector_fini(&injector);
	return ns;
}

static struct moirai__deque victim;
static uint32_t owner_stops;

static void owner_runs(void *arg)
{
	(void)arg;
	while (!moirai_load_relaxed(&owner_stops)) { /* keeps its deque filled */
		if (moirai__deque_count(&victim) < 10000)
			must(moirai__deque_push(&victim, 1));
		else
			moirai_cpu_relax();
	}
	while (moirai__deque_pop(&victim))
		;
}

/* Time in steals per item stolen, with a victim that pushes meanwhile. */
static double steal_batches(void)
{
	moirai_os_thread thread;
	uintptr_t items[MOIRAI__STEAL_MAX];
	size_t stolen = 0;
	uint64_t spent_ns = 0;
	owner_stops = 0;
	must(moirai_os_thread_create(&thread, NULL, owner_runs, NULL));
	while (stolen < operations / 20) {
		while (moirai__deque_count(&victim) < 2 * MOIRAI__STEAL_MAX)
			moirai_os_yield();
		uint64_t start_ns = moirai_now();
		unsigned n = moirai__deque_steal(
			&victim, items, MOIRAI__STEAL_MAX, MOIRAI_STEAL_HALF);
		spent_ns += moirai_now() - start_ns;
		stolen += n;
	}
	moirai_store_relaxed(&owner_stops, 1u);
	must(moirai_os_thread_join(thread));
	return (double)spent_ns / (double)stolen;
}

int main(void)
{
	static const struct {
		const char *name;
		unsigned threads;
		double (*run)(void);
	} cases[] = {{"deque_push_pop", 1, deque_push_pop}, {"queues_push_pop", 1, push_pop},
		{"yield_swap", 1, yield_swap}, {"foreign_push_take", 1, foreign_push_take},
		{"steal_item", 2, steal_batches}};
	moirai__queues_init(&queues, &ops);
	for (size_t c = 0; c < MOIRAI_ARRAY_SIZE(cases); c++) {
		double ns[ROUNDS];
		for (unsigned i = 0; i < ROUNDS; i++)
			ns[i] = cases[c].run();
		report(cases[c].name, cases[c].threads, ns);
	}
	moirai__queues_fini(&queues);
	moirai__deque_fini(&victim);
	return 0;
}
