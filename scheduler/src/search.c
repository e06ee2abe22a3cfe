/* SPDX-License-Identifier: MIT */
/*
 * Design note: a worker without work.
 *
 * Policy over the queues (queues.c), the door (injector.c) and the beds (idle.c); it has no atomics
 * of its own beyond hints. What it may do is steal, wait a little, nap, sleep; what it must not do is
 * hurt those who work:
 *
 *  Lone rule. A victim that holds exactly one item is probably about to run it: a woken partner, a
 *  task just spawned to be joined. The thief notes the victim's signature (picks, spawns) and takes
 *  the item only when the signature has stood still for lone_ns. Two or more items: it takes its
 *  share at once. Measured: a ping-pong pair with a second worker searching, 39 ns a round trip with
 *  the rule, 340-1140 without.
 *
 *  Pay-off. Loot is worth the time it keeps the thief busy. Back within payoff_ns: the search was
 *  useless; so was one without loot. After useless_limit such searches the worker looks
 *  useless_rounds instead of search_rounds times and then, instead of sleeping, becomes the
 *  watcher: at most one per executor.
 *
 *  Watcher. Counted as searching, so that nobody pays for waking it; naps nap_ns at a time and looks
 *  nap_looks times after each. After nap_limit naps in which no other worker's signature moved it
 *  goes to sleep in earnest. A second useless worker finds the place taken and sleeps. With
 *  foreign_hard items waiting at the end of a nap the next one cannot be poked: a storm of spawns
 *  from outside shall not pay a system call per item.
 *
 *  Yielding. From the ninth round on each round gives the processor away. With more threads than
 *  processors, whom we wait for may be behind us in the run queue: 25 times slower without.
 *
 * Why nothing starves. After a push either a sleeper is woken, or somebody searches, or the watcher
 * looks within nap_ns; and before real sleep the rescan sees every item, the lone and young included:
 * the worker then searches on while the item ages. So a ready item waits for at most about
 * nap_ns + lone_ns for an idle worker.
 *
 * Price. While a pair plays, one otherwise idle worker naps, about 15,000 times a second. When all
 * are idle nobody naps: no system call, no switch.
 *
 * Refused. An unstealable slot for the last woken item (one more queue, one more rule for the rescan;
 * the lone item in the ordinary deque does the same); judging a search by its success (the thief
 * then tears the pair for ever); back-off without a bound.
 */
#include <moirai/scheduler/internal/search.h>

#include <string.h>

#include <moirai/core/observer.h>

/* Pauses between two looks: about 0.3 us, long beside a look, short beside a wake-up. */
#define SEARCH_PAUSES 16
/* Rounds before the processor is given away. */
#define SEARCH_SPIN_ROUNDS 8
/* Pauses between two looks of the watcher: about 1.2 us, so that a lone item can grow old. */
#define SEARCH_WATCH_PAUSES 48

/* One run of search_run(). */
struct look {
	uint64_t now_ns;
	uint64_t pending_ns; /* since when extra() has something that cannot be had */
	bool spun;           /* it is not the first round: what comes in came in meanwhile */
	bool loot;           /* what was found was somebody else's */
};

enum result { NOTHING, ITEM, EXTRA, QUIT };

void moirai__search_init(struct moirai__search *search, struct moirai__queues *queues,
	struct moirai__sleeper *sleeper, struct moirai__idle *idle, struct moirai__injector *injector,
	const struct moirai__search_ops *ops, const moirai_scheduler_tuning *tuning, void *arg,
	struct moirai__victim *victims, uint32_t victim_count, uint32_t seed)
{
	memset(search, 0, sizeof(*search));
	search->queues_ = queues;
	search->sleeper_ = sleeper;
	search->idle_ = idle;
	search->injector_ = injector;
	search->ops_ = ops;
	search->tuning_ = tuning;
	search->arg_ = arg;
	search->victims_ = victims;
	search->victim_count_ = victim_count;
	search->random_ = seed * 2654435761u + 1;
}

static void pause_times(unsigned times)
{
	while (times-- > 0)
		moirai_cpu_relax();
}

/* The lone rule: true while the victim's only item must be left alone. */
static bool too_young(const struct moirai__search *search, struct moirai__victim *victim,
	const struct look *look)
{
	uint64_t signature = moirai__queues_signature(victim->queues_);
	if (victim->epoch_ != search->epoch_ || victim->seen_ != signature) {
		victim->epoch_ = search->epoch_;
		victim->seen_ = signature;
		victim->seen_ns_ = look->now_ns;
		return true;
	}
	return look->now_ns - victim->seen_ns_ < search->tuning_->lone_ns;
}

static uintptr_t steal_from(
	struct moirai__search *search, struct moirai__victim *victim, const struct look *look)
{
	size_t count = moirai__queues_count(victim->queues_);
	if (!count || (count == 1 && too_young(search, victim, look)))
		return 0;
	return moirai__queues_steal(victim->queues_, search->queues_,
		(moirai_steal_amount)search->tuning_->steal_amount);
}

static uint32_t random_next(struct moirai__search *search)
{
	search->random_ = search->random_ * 1664525u + 1013904223u; /* Numerical Recipes */
	return search->random_ >> 16;
}

/* The nearest class first, each class from a random member on. */
static uintptr_t steal_any(struct moirai__search *search, const struct look *look)
{
	uint32_t begin = 0;
	while (begin < search->victim_count_) {
		uint32_t end = begin + 1;
		while (end < search->victim_count_ &&
			search->victims_[end].distance_ == search->victims_[begin].distance_)
			end++;
		uint32_t size = end - begin, start = random_next(search) % size;
		for (uint32_t i = 0; i < size; i++) {
			uintptr_t item = steal_from(
				search, &search->victims_[begin + (start + i) % size], look);
			if (item)
				return item;
		}
		begin = end;
	}
	return 0;
}

static bool extra_found(struct moirai__search *search, struct look *look)
{
	if (!search->ops_->extra)
		return false;
	bool pending = false;
	uint64_t waited_ns = look->pending_ns ? look->now_ns - look->pending_ns : 0;
	if (search->ops_->extra(search->arg_, waited_ns, &pending))
		return true;
	if (!pending)
		look->pending_ns = 0;
	else if (!look->pending_ns)
		look->pending_ns = look->now_ns;
	return false;
}

/* Looks once at everything. */
static enum result look_once(struct moirai__search *search, struct look *look, uintptr_t *item)
{
	look->now_ns = moirai_now();
	look->loot = false;
	*item = moirai__queues_drain(search->queues_, search->injector_, search->victim_count_ + 1);
	if (*item) {
		look->loot = !look->spun;
		return ITEM;
	}
	*item = steal_any(search, look);
	if (*item) {
		look->loot = true;
		return ITEM;
	}
	if (extra_found(search, look)) {
		look->loot = true;
		return EXTRA;
	}
	if (search->ops_->timers)
		search->ops_->timers(search->arg_);
	*item = moirai__queues_pop_any(search->queues_);
	if (*item)
		return ITEM;
	return search->ops_->idle.quit(search->arg_) ? QUIT : NOTHING;
}

/* Looks for a while without sleeping. */
static enum result look_awhile(struct moirai__search *search, struct look *look, uintptr_t *item)
{
	const moirai_scheduler_tuning *tuning = search->tuning_;
	unsigned rounds = search->useless_ >= tuning->useless_limit ? tuning->useless_rounds
								    : tuning->search_rounds;
	for (unsigned round = 0; round < rounds; round++) {
		look->spun = round > 0;
		enum result result = look_once(search, look, item);
		if (result != NOTHING)
			return result;
		if (round >= SEARCH_SPIN_ROUNDS)
			moirai_os_yield();
		pause_times(SEARCH_PAUSES);
	}
	return NOTHING;
}

/* The sum of all others' signatures: when it stands still, nobody does anything. */
static uint64_t movement(const struct moirai__search *search)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < search->victim_count_; i++)
		sum += moirai__queues_signature(search->victims_[i].queues_);
	return sum;
}

static void nap_once(struct moirai__search *search)
{
	enum moirai__nap kind = search->hard_ ? MOIRAI__NAP_HARD : MOIRAI__NAP;
	uint64_t until_ns = moirai_now() + search->tuning_->nap_ns;
	uint64_t earliest_ns = search->ops_->idle.earliest(search->arg_);
	if (earliest_ns < until_ns)
		until_ns = earliest_ns;
	moirai__count(&search->queues_->stats_.naps, 1);
	if (moirai__idle_nap(search->idle_, search->sleeper_, until_ns, kind))
		moirai__count(&search->queues_->stats_.pokes, 1);
	search->hard_ = moirai__injector_count(search->injector_) >= search->tuning_->foreign_hard;
}

/* As the watcher: naps and looks until something is found or nothing moves any more. */
static enum result watch(struct moirai__search *search, struct look *look, uintptr_t *item)
{
	uint64_t before = 0;
	look->spun = false;
	for (unsigned still = 0; still < search->tuning_->nap_limit;) {
		uint64_t moved = movement(search);
		still = moved == before ? still + 1 : 0;
		before = moved;
		nap_once(search);
		for (unsigned i = 0; i < search->tuning_->nap_looks; i++) {
			enum result result = look_once(search, look, item);
			if (result != NOTHING)
				return result;
			pause_times(SEARCH_WATCH_PAUSES);
		}
	}
	return NOTHING;
}

static void sleep_really(struct moirai__search *search)
{
	moirai_scheduler_stats *stats = &search->queues_->stats_;
	moirai__queues_trim(search->queues_);
	MOIRAI_OBSERVE(MOIRAI_EVENT_SLEEP, search->sleeper_);
	enum moirai__slept slept = moirai__idle_sleep(
		search->idle_, search->sleeper_, &search->ops_->idle, search->arg_);
	MOIRAI_OBSERVE(MOIRAI_EVENT_WAKE, search->sleeper_);
	switch (slept) {
	case MOIRAI__SLEPT_WOKEN:
		moirai__count(&stats->wakes, 1);
		moirai__count(&stats->sleeps, 1);
		break;
	case MOIRAI__SLEPT:
		moirai__count(&stats->sleeps, 1);
		break;
	case MOIRAI__SLEPT_NOT:
		break;
	}
	search->epoch_++; /* what was seen before is too long ago to tell an age */
}

/* Searches, watches, sleeps, in this order and again. */
static enum result look_until(struct moirai__search *search, struct look *look, uintptr_t *item)
{
	for (;;) {
		enum result result = look_awhile(search, look, item);
		if (result != NOTHING)
			return result;
		search->useless_++;
		if (search->useless_ >= search->tuning_->useless_limit &&
			moirai__idle_watch_begin(search->idle_, search->sleeper_)) {
			result = watch(search, look, item);
			moirai__idle_watch_end(search->idle_);
			if (result != NOTHING)
				return result;
			search->useless_ = search->tuning_->useless_limit - 1;
		}
		sleep_really(search);
	}
}

/* The last loot kept us busy until now: was it worth it? */
static void judge_loot(struct moirai__search *search)
{
	if (!search->loot_ns_)
		return;
	if (moirai_now() - search->loot_ns_ < search->tuning_->payoff_ns)
		search->useless_++;
	else
		search->useless_ = 0;
	search->loot_ns_ = 0;
}

enum moirai__found moirai__search_run(struct moirai__search *search, uintptr_t *item)
{
	*item = moirai__queues_drain(search->queues_, search->injector_, search->victim_count_ + 1);
	if (*item) {
		/* Not counted as searching, so who looked while the rest was in our hands was not told. */
		moirai__idle_notify(search->idle_);
		return MOIRAI__FOUND_ITEM;
	}
	struct look look = {.now_ns = 0};
	search->epoch_++;
	moirai__idle_search_begin(search->idle_);
	judge_loot(search);
	enum result result = look_until(search, &look, item);
	(void)moirai__idle_search_end(search->idle_);
	if (look.loot)
		search->loot_ns_ = look.now_ns;
	else
		search->useless_ = 0;
	if (result == QUIT)
		return MOIRAI__FOUND_QUIT;
	/* What we run now is a pick, to those who read our signature. */
	moirai_store_relaxed(
		&search->queues_->pick_, moirai_load_relaxed(&search->queues_->pick_) + 1);
	return result == EXTRA ? MOIRAI__FOUND_EXTRA : MOIRAI__FOUND_ITEM;
}
