/* SPDX-License-Identifier: MIT */
/*
 * Statistics of measured times, for benchmarks and for decisions at run time. No allocation; the
 * memory is the caller's. One thread at a time; partial results are merged.
 */
#ifndef MOIRAI_UTILS_STATS_H
#define MOIRAI_UTILS_STATS_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

/* --- running: constant memory (Welford, "Note on a method for calculating corrected sums of
 * squares and products", 1962). All-zero is empty. --- */

typedef struct moirai_stats {
	uint64_t count;
	double mean;
	double squares_; /* sum of the squared differences from the mean */
	double min;
	double max;
} moirai_stats;

/** Adds a value; NaN is ignored. */
MOIRAI_API void moirai_stats_add(moirai_stats *stats, double value);

/** Adds everything that `other` has seen (Chan, Golub, LeVeque 1979). */
MOIRAI_API void moirai_stats_merge(moirai_stats *stats, const moirai_stats *other);

/** The sample variance (n - 1); 0 for fewer than two values. */
MOIRAI_API double moirai_stats_variance(const moirai_stats *stats);

/** The sample standard deviation. */
MOIRAI_API double moirai_stats_deviation(const moirai_stats *stats);

/* --- exponentially weighted mean --- */

typedef struct moirai_ewma {
	double value;
	double weight; /* of a new value, in (0, 1] */
	bool primed_;
} moirai_ewma;

/** Adds a value: value += weight * (x - value); the first one is taken whole. */
static inline void moirai_ewma_add(moirai_ewma *ewma, double x)
{
	ewma->value = ewma->primed_ ? ewma->value + ewma->weight * (x - ewma->value) : x;
	ewma->primed_ = true;
}

/* --- samples: an array of values. The functions sort or reorder it. --- */

/** Sorts ascending, NaNs last. In place, O(n log n), no allocation. */
MOIRAI_API void moirai_samples_sort(double *values, size_t count);

/**
 * The p-quantile (0..1) of sorted values, linear between neighbours (Hyndman and Fan's type 7). 0
 * for no values.
 */
MOIRAI_API double moirai_samples_quantile(const double *sorted, size_t count, double p);

/* What a benchmark prints of its samples. */
typedef struct moirai_samples_summary {
	size_t count;
	double min;
	double p05;
	double median;
	double p95;
	double p99;
	double max;
	double mean;
	double mad;        /* median absolute deviation from the median */
	double median_low; /* 95 % confidence interval of the median, by order statistics */
	double median_high;
} moirai_samples_summary;

/**
 * Fills *summary. Reorders the values: they come back replaced by their absolute deviations from
 * the median, sorted. -EINVAL for no values.
 */
MOIRAI_API int moirai_samples_summarise(
	double *values, size_t count, moirai_samples_summary *summary);

MOIRAI_END_DECLS

#endif
