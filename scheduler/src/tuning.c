/* SPDX-License-Identifier: MIT */
/* The scheduler's constants: defaults and limits. */
#include <moirai/scheduler/types.h>

#include <errno.h>

/* Limits: what lies beyond is a mistake in units, not a wish. */
#define ROUNDS_MAX  1000000u
#define PERIOD_NS_MAX 10000000000ull /* 10 s */

static const moirai_scheduler_tuning tuning_defaults = {
	.steal_amount = MOIRAI_STEAL_HALF,
	.search_rounds = 60,
	.useless_rounds = 4,
	.useless_limit = 3,
	.nap_looks = 3,
	.nap_limit = 4,
	.foreign_hard = 8,
	.fence_return = 4096,
	.lone_ns = 2000,
	.payoff_ns = 3000,
	.nap_ns = 40000,
	.often_ns = 100000,
};

void moirai_scheduler_tuning_default(moirai_scheduler_tuning *tuning)
{
	*tuning = tuning_defaults;
}

static uint32_t count_or(uint32_t value, uint32_t fallback)
{
	return value ? value : fallback;
}

static uint64_t time_or(uint64_t value, uint64_t fallback)
{
	return value ? value : fallback;
}

int moirai_scheduler_tuning_check(moirai_scheduler_tuning *tuning)
{
	const moirai_scheduler_tuning *d = &tuning_defaults;
	moirai_scheduler_tuning t = {
		.steal_amount = tuning->steal_amount,
		.search_rounds = count_or(tuning->search_rounds, d->search_rounds),
		.useless_rounds = count_or(tuning->useless_rounds, d->useless_rounds),
		.useless_limit = count_or(tuning->useless_limit, d->useless_limit),
		.nap_looks = count_or(tuning->nap_looks, d->nap_looks),
		.nap_limit = count_or(tuning->nap_limit, d->nap_limit),
		.foreign_hard = count_or(tuning->foreign_hard, d->foreign_hard),
		.fence_return = count_or(tuning->fence_return, d->fence_return),
		.lone_ns = time_or(tuning->lone_ns, d->lone_ns),
		.payoff_ns = time_or(tuning->payoff_ns, d->payoff_ns),
		.nap_ns = time_or(tuning->nap_ns, d->nap_ns),
		.often_ns = time_or(tuning->often_ns, d->often_ns),
	};
	if (t.steal_amount > MOIRAI_STEAL_QUARTER || t.search_rounds > ROUNDS_MAX ||
		t.useless_rounds > ROUNDS_MAX || t.useless_limit > ROUNDS_MAX ||
		t.nap_looks > ROUNDS_MAX || t.nap_limit > ROUNDS_MAX)
		return -EINVAL;
	if (t.lone_ns > PERIOD_NS_MAX || t.payoff_ns > PERIOD_NS_MAX || t.nap_ns > PERIOD_NS_MAX ||
		t.often_ns > PERIOD_NS_MAX)
		return -EINVAL;
	*tuning = t;
	return 0;
}
