// SPDX-License-Identifier: MIT
// The Boost.Fiber side of bench/compare: one thread, round robin; same cases, same protocol.
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

using boost::fibers::fiber;
using clock_type = std::chrono::steady_clock;
static int scale = 1;

static void report(const std::string &name, long n, clock_type::time_point begin)
{
	double ns = std::chrono::duration<double, std::nano>(clock_type::now() - begin).count();
	std::printf("%s\t1\tns\t%.3f\n", name.c_str(), ns / static_cast<double>(n));
}

static void check(bool ok)
{
	if (!ok)
		std::abort();
}

static void yield(int tasks)
{
	int rounds = 1000000 / scale / tasks;
	std::vector<fiber> all;
	auto begin = clock_type::now();
	for (int i = 0; i < tasks; i++)
		all.emplace_back([=] {
			for (int r = 0; r < rounds; r++)
				boost::this_fiber::yield();
		});
	for (auto &f : all)
		f.join();
	report("yield_" + std::to_string(tasks), static_cast<long>(rounds) * tasks, begin);
}

static void spawn()
{
	long n = 200000 / scale, sum = 0;
	auto begin = clock_type::now();
	for (long i = 0; i < n; i++) {
		fiber f([&] { sum++; });
		f.join();
	}
	report("join_one", n, begin);
	check(sum == n);
}

static void block()
{
	long n = 200000 / scale, x = 0;
	boost::fibers::buffered_channel<long> a(2), b(2);
	fiber peer([&] {
		for (long v; a.pop(v) == boost::fibers::channel_op_status::success;)
			b.push(v + 1);
	});
	auto begin = clock_type::now();
	for (long i = 0; i < n; i++) {
		a.push(x);
		b.pop(x);
	}
	report("ping_pong", n, begin);
	check(x == n);
	a.close();
	peer.join();
}

int main(int argc, char **argv)
{
	if (argc > 2 && !std::strcmp(argv[2], "--quick"))
		scale = 10;
	std::string suite = argc > 1 ? argv[1] : "";
	if (suite == "switch") {
		yield(2);
		yield(1000);
		yield(5000);
	} else if (suite == "spawn") {
		spawn();
	} else if (suite == "block") {
		block();
	} else {
		return 2;
	}
}
