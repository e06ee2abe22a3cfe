/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <errno.h>
#include <math.h>

#include <moirai/utils/random.h>
#include <moirai/utils/stats.h>

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-9 * (1 + fabs(a) + fabs(b));
}

static void running_values_agree_with_the_definition(void)
{
	static const double values[] = {2, 4, 4, 4, 5, 5, 7, 9};
	moirai_stats stats = {0};
	CHECK(moirai_stats_variance(&stats) == 0);
	moirai_stats_add(&stats, 2);
	CHECK(moirai_stats_variance(&stats) == 0 && stats.mean == 2);
	for (int i = 1; i < 8; i++)
		moirai_stats_add(&stats, values[i]);
	CHECK(stats.count == 8 && near(stats.mean, 5) && stats.min == 2 && stats.max == 9);
	CHECK(near(moirai_stats_variance(&stats), 32.0 / 7));
	CHECK(near(moirai_stats_deviation(&stats), sqrt(32.0 / 7)));
	moirai_stats_add(&stats, NAN);
	CHECK(stats.count == 8 && near(stats.mean, 5));
}

static void large_offsets_lose_nothing(void)
{
	moirai_stats stats = {0};
	for (int i = 0; i < 1000; i++) /* the sum of squares would lose all digits here */
		moirai_stats_add(&stats, 1e9 + i % 2);
	CHECK(fabs(moirai_stats_variance(&stats) - 0.25025025) < 1e-6);
}

static void merging_is_like_adding(void)
{
	moirai_random random;
	moirai_random_init(&random, 1);
	for (int round = 0; round < 200; round++) {
		moirai_stats all = {0}, part[3] = {{0}}, merged = {0};
		for (uint64_t n = moirai_random_below(&random, 50); n > 0; n--) {
			double x = moirai_random_double(&random) * 1000 - 500;
			moirai_stats_add(&all, x);
			moirai_stats_add(&part[moirai_random_below(&random, 3)], x);
		}
		for (int i = 0; i < 3; i++)
			moirai_stats_merge(&merged, &part[i]);
		CHECK(merged.count == all.count && near(merged.mean, all.mean));
		CHECK(near(moirai_stats_variance(&merged), moirai_stats_variance(&all)));
		CHECK(merged.min == all.min && merged.max == all.max);
	}
}

static void ewma_forgets_by_its_weight(void)
{
	moirai_ewma ewma = {.weight = 0.25};
	moirai_ewma_add(&ewma, 100);
	CHECK(ewma.value == 100);
	moirai_ewma_add(&ewma, 0);
	CHECK(near(ewma.value, 75));
	for (int i = 0; i < 100; i++)
		moirai_ewma_add(&ewma, 8);
	CHECK(near(ewma.value, 8));
}

static void sorting_sorts_and_puts_nan_last(void)
{
	moirai_random random;
	double v[257];
	moirai_random_init(&random, 2);
	for (size_t count = 0; count <= 257; count++) {
		double sum = 0, sorted_sum = 0;
		for (size_t i = 0; i < count; i++)
			sum += v[i] = (double)moirai_random_below(&random, count);
		moirai_samples_sort(v, count);
		for (size_t i = 0; i < count; i++) {
			sorted_sum += v[i];
			CHECK(i == 0 || v[i - 1] <= v[i]);
		}
		CHECK(sum == sorted_sum);
	}
	double odd[] = {NAN, 2, -INFINITY, NAN, INFINITY, 1};
	moirai_samples_sort(odd, 6);
	CHECK(odd[0] == -INFINITY && odd[1] == 1 && odd[2] == 2 && odd[3] == INFINITY);
	CHECK(odd[4] != odd[4] && odd[5] != odd[5]); /* NaN */
}

static void quantiles_are_type_seven(void)
{
	static const double v[] = {1, 2, 3, 4};
	CHECK(moirai_samples_quantile(v, 0, 0.5) == 0);
	CHECK(moirai_samples_quantile(v, 1, 0.9) == 1);
	CHECK(moirai_samples_quantile(v, 4, 0) == 1 && moirai_samples_quantile(v, 4, 1) == 4);
	CHECK(moirai_samples_quantile(v, 4, -1) == 1 && moirai_samples_quantile(v, 4, 2) == 4);
	CHECK(moirai_samples_quantile(v, 4, NAN) == 1);
	CHECK(near(moirai_samples_quantile(v, 4, 0.5), 2.5));
	CHECK(near(moirai_samples_quantile(v, 4, 0.25), 1.75));
	CHECK(near(moirai_samples_quantile(v, 4, 0.9), 3.7));
	static const double inf[] = {1, INFINITY, INFINITY};
	CHECK(moirai_samples_quantile(inf, 3, 0.75) == INFINITY);
}

static void summaries_resist_outliers(void)
{
	double v[] = {10, 12, 11, 10, 13, 11, 1000, 12, 11, 10, 12};
	moirai_samples_summary s;
	CHECK(moirai_samples_summarise(v, 11, &s) == 0);
	CHECK(s.count == 11 && s.min == 10 && s.max == 1000 && s.median == 11 && s.mad == 1);
	CHECK(s.median_low >= 10 && s.median_low <= 11 && s.median_high >= 11 &&
		s.median_high <= 13);
	double one[] = {5};
	CHECK(moirai_samples_summarise(one, 1, &s) == 0);
	CHECK(s.median == 5 && s.mad == 0 && s.median_low == 5 && s.median_high == 5);
	CHECK(moirai_samples_summarise(one, 0, &s) == -EINVAL);
	CHECK(moirai_samples_summarise(NULL, 1, &s) == -EINVAL);
}

/* The 95 % interval holds the true median in about 95 of 100 experiments, at any size. */
static void the_interval_covers_the_median(void)
{
	moirai_random random;
	moirai_random_init(&random, 3);
	static const size_t sizes[] = {10, 31, 100};
	for (int k = 0; k < 3; k++) {
		int covered = 0;
		for (int round = 0; round < 2000; round++) {
			double v[100];
			moirai_samples_summary s;
			for (size_t i = 0; i < sizes[k]; i++) {
				double x = moirai_random_double(&random);
				v[i] = x * x; /* skewed; its median is 1/4 */
			}
			moirai_samples_summarise(v, sizes[k], &s);
			covered += s.median_low <= 0.25 && 0.25 <= s.median_high;
		}
		DIAG("%zu samples: covered %.1f %%", sizes[k], covered / 20.0);
		CHECK(covered > 1880 && covered <= 2000);
	}
}

TAP_MAIN(TEST(running_values_agree_with_the_definition), TEST(large_offsets_lose_nothing),
	TEST(merging_is_like_adding), TEST(ewma_forgets_by_its_weight),
	TEST(sorting_sorts_and_puts_nan_last), TEST(quantiles_are_type_seven),
	TEST(summaries_resist_outliers), TEST(the_interval_covers_the_median))
