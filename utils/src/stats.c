/* SPDX-License-Identifier: MIT */
#include <moirai/utils/stats.h>

#include <errno.h>
#include <math.h>

/* Some C libraries' isnan() warns of the float that it also takes. */
static bool stats_is_nan(double x)
{
	return x != x;
}

void moirai_stats_add(moirai_stats *stats, double value)
{
	if (stats_is_nan(value))
		return;
	if (stats->count == 0 || value < stats->min)
		stats->min = value;
	if (stats->count == 0 || value > stats->max)
		stats->max = value;
	double delta = value - stats->mean;
	stats->mean += delta / (double)++stats->count;
	stats->squares_ += delta * (value - stats->mean);
}

void moirai_stats_merge(moirai_stats *stats, const moirai_stats *other)
{
	if (other->count == 0)
		return;
	if (stats->count == 0) {
		*stats = *other;
		return;
	}
	double own = (double)stats->count, theirs = (double)other->count, all = own + theirs;
	double delta = other->mean - stats->mean;
	stats->mean += delta * theirs / all;
	stats->squares_ += other->squares_ + delta * delta * own * theirs / all;
	stats->min = other->min < stats->min ? other->min : stats->min;
	stats->max = other->max > stats->max ? other->max : stats->max;
	stats->count += other->count;
}

double moirai_stats_variance(const moirai_stats *stats)
{
	return stats->count < 2 ? 0 : stats->squares_ / (double)(stats->count - 1);
}

double moirai_stats_deviation(const moirai_stats *stats)
{
	return sqrt(moirai_stats_variance(stats));
}

/* The order of the sorts: ascending, NaN behind everything. */
static bool samples_above(double a, double b)
{
	return a > b || (stats_is_nan(a) && !stats_is_nan(b));
}

static void samples_sift(double *values, size_t count, size_t at)
{
	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		child += child + 1 < count && samples_above(values[child + 1], values[child]);
		if (!samples_above(values[child], values[at]))
			return;
		double swap = values[at];
		values[at] = values[child];
		values[child] = swap;
	}
}

/* Heapsort: the C library's qsort may allocate. */
void moirai_samples_sort(double *values, size_t count)
{
	for (size_t i = count / 2; i-- > 0;)
		samples_sift(values, count, i);
	for (size_t end = count; end > 1;) {
		double swap = values[0];
		values[0] = values[--end];
		values[end] = swap;
		samples_sift(values, end, 0);
	}
}

double moirai_samples_quantile(const double *sorted, size_t count, double p)
{
	if (count == 0)
		return 0;
	if (!(p > 0))
		return sorted[0];
	if (p >= 1)
		return sorted[count - 1];
	double place = p * (double)(count - 1);
	size_t below = (size_t)place;
	if (below + 1 >= count || sorted[below] == sorted[below + 1])
		return sorted[below]; /* also where the difference would be inf - inf */
	return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

/*
 * The ranks of the 95 % interval: n/2 -+ 1.96 * sqrt(n)/2, the normal approximation of the binomial
 * that counts how many samples lie below the median. Exact enough from about ten samples; below,
 * the interval is everything that was seen.
 */
static void samples_median_interval(
	const double *sorted, size_t count, moirai_samples_summary *summary)
{
	double half = 0.98 * sqrt((double)count), middle = (double)count / 2;
	double low = floor(middle - half), high = ceil(middle + half);
	summary->median_low = sorted[low < 1 ? 0 : (size_t)low - 1];
	summary->median_high = sorted[high > (double)count - 1 ? count - 1 : (size_t)high];
}

int moirai_samples_summarise(double *values, size_t count, moirai_samples_summary *summary)
{
	if (!values || !summary || count == 0)
		return -EINVAL;
	moirai_stats running = {0};
	for (size_t i = 0; i < count; i++)
		moirai_stats_add(&running, values[i]);
	moirai_samples_sort(values, count);
	summary->count = count;
	summary->min = values[0];
	summary->p05 = moirai_samples_quantile(values, count, 0.05);
	summary->median = moirai_samples_quantile(values, count, 0.5);
	summary->p95 = moirai_samples_quantile(values, count, 0.95);
	summary->p99 = moirai_samples_quantile(values, count, 0.99);
	summary->max = values[count - 1];
	summary->mean = running.mean;
	samples_median_interval(values, count, summary);
	for (size_t i = 0; i < count; i++)
		values[i] = fabs(values[i] - summary->median);
	moirai_samples_sort(values, count);
	summary->mad = moirai_samples_quantile(values, count, 0.5);
	return 0;
}
