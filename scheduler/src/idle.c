/* SPDX-License-Identifier: MIT */
/*
 * Design note: sleeping and waking.
 *
 * What it is. An event count whose cheap side is free: whoever publishes work does a light fence, one
 * load and one compare. The idea of a sleeper that counts itself, fences and looks once more is
 * Vyukov's; that of waking nobody while somebody searches is Go's and Rayon's; the word that holds
 * waiters, searchers and the mode so that one signed compare decides is ours.
 *
 * States. word = waiters + mode * 2^40 - searching * 2^20.
 *  waiters    workers that sleep, or are about to; changed under lock_ with the list of sleepers, so
 *             that count and list agree.
 *  searching  workers that look for work, or have just been woken to.
 *  mode 0     publishers rely on the sleepers' heavy fence: the load of the word may be stale.
 *  mode 1     publishers fence for real, or do not know it yet: sleepers still do the heavy fence.
 *  mode 2     every publisher fences for real: sleepers fence, but not for both.
 *  0 -> 1 -> 2 under lock_ by a listed sleeper; 2 -> 0 by a publisher's CAS from exactly {no waiters,
 *  nobody searching, mode 2}. A listed sleeper thus keeps the mode from falling back.
 *
 * Invariant. Work published before a worker sleeps is seen by its rescan, or its publisher sees that
 * worker counted, or somebody searches who will look again or wake the next.
 *
 * Protocol.
 *  notify  1. publish   2. light fence   3. word > 0?  Slow: in mode 1, 2 real fence and read again;
 *          a waiter and nobody searching: wake one.
 *  sleep   1. under lock_: bed = asleep, enter the list, ONE read-modify-write doing waiters + 1 and
 *          searching - 1; many sleeps in a short time: mode 0 becomes 1   2. heavy fence, in mode 2
 *          a real one   3. if the mode was 1 before the fence and we are still listed: mode 2
 *          4. rescan everything   5. futex on the own bed, with the earliest deadline if the keeper's
 *          place is free   6. under lock_: still listed? then leave the list and count ourselves as
 *          searching.
 *  wake    under lock_: take the warmest sleeper, waiters - 1 and searching + 1 on its behalf, bed =
 *          awake; futex wake after the unlock.
 *  end of a search: searching - 1; if that was the last and somebody sleeps, wake one (ramp-up).
 *
 * Why no wake-up is lost. Steps 1-3 of notify and 1-4 of sleep are Dekker's pattern with the fences
 * named. A publisher that sees a searcher leaves the wake-up to it: when that searcher ends, its
 * read-modify-write comes after the publisher's load; the sleeper that missed the work has counted
 * itself before that load, so the searcher sees it and wakes it. The list, not the futex word, says
 * who sleeps; a stray wake makes a worker look once more and no more.
 *
 * Why step 3 is under the lock and looks at the mode from BEFORE the fence. So mode 2 says exactly that
 * a heavy fence has run since mode 1 was set, and a listed sleeper keeps it from falling back. This is
 * stricter than needed (DESIGN.md) and costs nothing.
 *
 * Deadlines. The keeper is the one sleeper that sleeps with the earliest deadline. It publishes what
 * it waits for, fences, and reads the earliest again; who makes a timer the first publishes that,
 * fences, and reads the keeper. Without a keeper the armer wakes a sleeper, which becomes the keeper.
 * A keeper that gets up with work in hand is a searcher that ends: it wakes the next.
 *
 * The watcher is a searcher that naps (search.c): counted as searching, so publishers do not wake
 * anybody for the time of a nap, which bounds the delay. A poke without a fence cuts it short; one
 * that misses costs a nap.
 *
 * Price. notify: a load and a branch. A sleep: two lock sections and one heavy fence, none in mode 2,
 * where a notify costs a real fence (5-8 ns); 4096 of those in a row without a waiter return to
 * mode 0.
 *
 * Refused. A process-wide word (two executors would keep each other on the slow path); separate words
 * for waiters and searchers (two loads per fork); wake-all; a watchdog tick.
 */
#include <moirai/scheduler/internal/idle.h>

#include <errno.h>
#include <string.h>

#include <moirai/core/internal/noise.h>

MOIRAI_STATIC_ASSERT(offsetof(struct moirai__idle, word_) == 0, "fork reads the word by address");

static unsigned waiters_of(int64_t word)
{
	return (unsigned)(word & (MOIRAI__IDLE_SEARCH - 1));
}

static int mode_of(int64_t word)
{
	/* Rounds: searchers make the word smaller by less than half a mode. */
	return (int)((word + MOIRAI__IDLE_MODE / 2) >> 40);
}

static bool searching_of(int64_t word)
{
	return word - (int64_t)waiters_of(word) - mode_of(word) * MOIRAI__IDLE_MODE < 0;
}

void moirai__idle_init(struct moirai__idle *idle, const moirai_scheduler_tuning *tuning)
{
	memset(idle, 0, sizeof(*idle));
	idle->fence_return_ = tuning->fence_return;
	idle->often_ns_ = tuning->often_ns;
}

/* Under the lock: the warmest sleeper gets up; NULL when nobody sleeps. */
static struct moirai__sleeper *take_sleeper(struct moirai__idle *idle)
{
	struct moirai__sleeper *sleeper = idle->sleepers_;
	if (!sleeper)
		return NULL;
	idle->sleepers_ = sleeper->next_;
	sleeper->listed_ = false;
	/* acq_rel: orders with the other counts; the lock publishes the list. */
	(void)moirai_fetch_sub_acq_rel(&idle->word_, MOIRAI__IDLE_WAITER + MOIRAI__IDLE_SEARCH);
	/* release: pairs with the acquire in doze(). */
	moirai_store_release(&sleeper->word_, (uint32_t)MOIRAI__AWAKE);
	return sleeper;
}

static bool rouse(struct moirai__sleeper *sleeper)
{
	if (!sleeper)
		return false;
	/* By address: the sleeper may be up and away. */
	(void)moirai_os_futex_wake(&sleeper->word_, 1);
	return true;
}

/* Wakes one sleeper unless somebody searches. */
static bool wake_if_quiet(struct moirai__idle *idle)
{
	struct moirai__sleeper *sleeper = NULL;
	moirai__spin_take(&idle->lock_);
	if (!searching_of(moirai_load_relaxed(&idle->word_)))
		sleeper = take_sleeper(idle);
	moirai__spin_drop(&idle->lock_);
	return rouse(sleeper);
}

bool moirai__idle_wake_one(struct moirai__idle *idle)
{
	moirai__spin_take(&idle->lock_);
	struct moirai__sleeper *sleeper = take_sleeper(idle);
	moirai__spin_drop(&idle->lock_);
	return rouse(sleeper);
}

void moirai__idle_wake_all(struct moirai__idle *idle)
{
	while (moirai__idle_wake_one(idle))
		;
	struct moirai__sleeper *watcher = moirai_load_acquire(&idle->watcher_);
	if (watcher) {
		moirai_store_release(&watcher->word_, (uint32_t)MOIRAI__AWAKE);
		rouse(watcher);
	}
}

/* In mode 2, after a fence, nobody slept: often enough, and fences become cheap again. */
static void relax_mode(struct moirai__idle *idle)
{
	/* Relaxed and not atomic as a whole: a lost count delays the return by one. */
	uint32_t found_nobody = moirai_load_relaxed(&idle->fenced_idle_) + 1;
	if (found_nobody < idle->fence_return_) {
		moirai_store_relaxed(&idle->fenced_idle_, found_nobody);
		return;
	}
	moirai_store_relaxed(&idle->fenced_idle_, 0u);
	int64_t exactly = 2 * MOIRAI__IDLE_MODE;
	/* Relaxed: a sleeper reads mode 0 by its read-modify-write and does the heavy fence again. */
	(void)moirai_cas_relaxed(&idle->word_, &exactly, (int64_t)0);
}

bool moirai__idle_notify_slow(struct moirai__idle *idle)
{
	int64_t word = moirai_load_relaxed(&idle->word_);
	if (mode_of(word)) {
		/*
		 * Pairs with the fence in sleep(). If ours comes first, the rescan sees our work; if
		 * the sleeper's comes first, we see it counted.
		 */
		moirai_fence_seq_cst();
		word = moirai_load_relaxed(&idle->word_);
		if (!waiters_of(word)) {
			relax_mode(idle);
			return false;
		}
	}
	if (!waiters_of(word) || searching_of(word))
		return false;
	return wake_if_quiet(idle);
}

void moirai__idle_search_begin(struct moirai__idle *idle)
{
	/* acq_rel: orders with the other counts. */
	(void)moirai_fetch_sub_acq_rel(&idle->word_, MOIRAI__IDLE_SEARCH);
}

bool moirai__idle_search_end(struct moirai__idle *idle)
{
	/* acq_rel: what we did to the queues comes before; pairs with the one in sleep(). */
	MOIRAI_NOISE();
	int64_t word = moirai_fetch_add_acq_rel(&idle->word_, MOIRAI__IDLE_SEARCH) +
		       MOIRAI__IDLE_SEARCH;
	if (!waiters_of(word) || searching_of(word))
		return false;
	return wake_if_quiet(idle);
}

/* Under the lock: true when workers sleep so often that real fences are cheaper. */
static bool sleeps_often(struct moirai__idle *idle, uint64_t now_ns)
{
	bool soon = now_ns - idle->last_sleep_ns_ < idle->often_ns_;
	idle->last_sleep_ns_ = now_ns;
	idle->streak_ = soon ? idle->streak_ + 1 : 0;
	if (idle->streak_ <= MOIRAI__IDLE_STREAK)
		return false;
	idle->streak_ = 0;
	return true;
}

/* Step 1 of sleep: enters the list; returns the mode. */
static int lie_down(struct moirai__idle *idle, struct moirai__sleeper *self)
{
	uint64_t now_ns = moirai_now();
	moirai__spin_take(&idle->lock_);
	/* Relaxed: read by ourselves, and by wakers under the lock. */
	moirai_store_relaxed(&self->word_, (uint32_t)MOIRAI__ASLEEP);
	self->next_ = idle->sleepers_;
	idle->sleepers_ = self;
	self->listed_ = true;
	/* seq_cst: acquires what an earlier sleeper learnt (mode 2), orders with search_end(). */
	int64_t word = moirai_fetch_add_seq_cst(
		&idle->word_, MOIRAI__IDLE_WAITER + MOIRAI__IDLE_SEARCH);
	int mode = mode_of(word);
	if (sleeps_often(idle, now_ns) && mode == 0) {
		/* We are counted: the mode cannot fall back. seq_cst: before our heavy fence. */
		(void)moirai_fetch_add_seq_cst(&idle->word_, MOIRAI__IDLE_MODE);
		mode = 1;
	}
	moirai__spin_drop(&idle->lock_);
	return mode;
}

/* Step 3: a heavy fence has run since mode 1 was seen. */
static void promote_mode(struct moirai__idle *idle, const struct moirai__sleeper *self)
{
	moirai__spin_take(&idle->lock_);
	if (self->listed_ && mode_of(moirai_load_relaxed(&idle->word_)) == 1)
		/* release: pairs with the seq_cst in lie_down(): who reads mode 2 knows what we do. */
		(void)moirai_fetch_add_seq_cst(&idle->word_, MOIRAI__IDLE_MODE);
	moirai__spin_drop(&idle->lock_);
}

/* Takes the keeper's place if there is a deadline and the place is free; what to sleep until. */
static uint64_t keep(struct moirai__idle *idle, struct moirai__sleeper *self,
	const struct moirai__idle_ops *ops, void *arg, bool *keeper)
{
	uint64_t deadline_ns = ops->earliest(arg);
	struct moirai__sleeper *nobody = NULL;
	*keeper = deadline_ns != MOIRAI_NEVER &&
		  moirai_cas_seq_cst(&idle->keeper_, &nobody, self);
	if (!*keeper)
		return MOIRAI_NEVER;
	moirai_store_relaxed(&idle->keeper_deadline_, deadline_ns);
	/*
	 * Pairs with the fence in moirai__idle_deadline(). If the armer's comes first, we read its
	 * deadline now; if ours comes first, it sees what we wait for and wakes us.
	 */
	moirai_fence_seq_cst();
	uint64_t again_ns = ops->earliest(arg);
	return again_ns < deadline_ns ? again_ns : deadline_ns;
}

/* Step 5: until somebody changes the word, or the deadline. */
static void doze(struct moirai__sleeper *self, uint64_t deadline_ns)
{
	/* acquire: pairs with the release in take_sleeper(). */
	while (moirai_load_acquire(&self->word_) == MOIRAI__ASLEEP)
		if (moirai_os_futex_wait(&self->word_, MOIRAI__ASLEEP, deadline_ns) == -ETIMEDOUT)
			return;
}

/* Step 6; true when a waker had done it for us. */
static bool get_up(struct moirai__idle *idle, struct moirai__sleeper *self)
{
	moirai__spin_take(&idle->lock_);
	bool woken = !self->listed_;
	if (!woken) {
		struct moirai__sleeper **link = &idle->sleepers_;
		while (*link != self)
			link = &(*link)->next_;
		*link = self->next_;
		self->listed_ = false;
		(void)moirai_fetch_sub_acq_rel(
			&idle->word_, MOIRAI__IDLE_WAITER + MOIRAI__IDLE_SEARCH);
	}
	moirai__spin_drop(&idle->lock_);
	return woken;
}

enum moirai__slept moirai__idle_sleep(struct moirai__idle *idle, struct moirai__sleeper *self,
	const struct moirai__idle_ops *ops, void *arg)
{
	int mode = lie_down(idle, self);
	/*
	 * Pairs with the light fence in notify() or, in mode 2, with the real one in notify_slow().
	 * If the publisher's fence comes first, the rescan sees its work; if ours comes first, it sees
	 * us counted.
	 */
	if (mode != 2)
		moirai_fence_heavy();
	else
		moirai_fence_seq_cst();
	if (mode == 1)
		promote_mode(idle, self);
	enum moirai__slept slept = MOIRAI__SLEPT_NOT;
	MOIRAI_NOISE();
	if (!ops->any(arg) && !ops->quit(arg)) {
		bool keeper;
		MOIRAI_NOISE();
		uint64_t deadline_ns = keep(idle, self, ops, arg, &keeper);
		doze(self, deadline_ns);
		if (keeper) /* release: the next keeper's CAS comes after our sleep. */
			moirai_store_release(&idle->keeper_, NULL);
		slept = MOIRAI__SLEPT;
	}
	if (get_up(idle, self) && slept == MOIRAI__SLEPT)
		slept = MOIRAI__SLEPT_WOKEN;
	return slept;
}

/* Gets one worker up without touching the list: it leaves it by itself. */
static void shake(struct moirai__sleeper *sleeper)
{
	/* release: pairs with the acquire in doze(). */
	moirai_store_release(&sleeper->word_, (uint32_t)MOIRAI__AWAKE);
	rouse(sleeper);
}

void moirai__idle_deadline(struct moirai__idle *idle, uint64_t deadline_ns)
{
	/*
	 * Pairs with the fence in keep(), and with those in sleep(): either the keeper, or a sleeper
	 * that found no deadline to keep, reads ours, or we see it here.
	 */
	moirai_fence_seq_cst();
	/* acquire: the sleeper's memory is that of a worker that was there before. */
	struct moirai__sleeper *keeper = moirai_load_acquire(&idle->keeper_);
	if (keeper) {
		if (moirai_load_relaxed(&idle->keeper_deadline_) > deadline_ns)
			shake(keeper);
		return;
	}
	struct moirai__sleeper *watcher = moirai_load_acquire(&idle->watcher_);
	if (watcher)
		shake(watcher);
	else if (waiters_of(moirai_load_relaxed(&idle->word_)))
		(void)moirai__idle_wake_one(idle);
}

bool moirai__idle_watch_begin(struct moirai__idle *idle, struct moirai__sleeper *self)
{
	struct moirai__sleeper *nobody = NULL;
	if (moirai_load_relaxed(&idle->watcher_))
		return false;
	return moirai_cas_acq_rel(&idle->watcher_, &nobody, self);
}

void moirai__idle_watch_end(struct moirai__idle *idle)
{
	moirai_store_release(&idle->watcher_, NULL);
}

bool moirai__idle_nap(struct moirai__idle *idle, struct moirai__sleeper *self,
	uint64_t deadline_ns, enum moirai__nap kind)
{
	(void)idle;
	uint32_t bed = kind == MOIRAI__NAP_HARD ? MOIRAI__ASLEEP_HARD : MOIRAI__ASLEEP;
	moirai_store_relaxed(&self->word_, bed);
	(void)moirai_os_futex_wait(&self->word_, bed, deadline_ns);
	/* acquire: pairs with the release in shake(). */
	bool poked = moirai_load_acquire(&self->word_) != bed;
	moirai_store_relaxed(&self->word_, (uint32_t)MOIRAI__AWAKE);
	return poked;
}

bool moirai__idle_poke_slow(struct moirai__idle *idle)
{
	struct moirai__sleeper *watcher = moirai_load_acquire(&idle->watcher_);
	if (!watcher || moirai_load_relaxed(&watcher->word_) != MOIRAI__ASLEEP)
		return false;
	shake(watcher);
	return true;
}
