// SPDX-License-Identifier: MIT
// The Go side of bench/compare: same cases, same protocol (case, threads, unit, value).
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

var scale = 1

func report(name string, threads int, n int, begin time.Time) {
	fmt.Printf("%s\t%d\tns\t%.3f\n", name, threads, float64(time.Since(begin).Nanoseconds())/float64(n))
}

func check(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "wrong result:", what)
		os.Exit(1)
	}
}

func yield(tasks, threads int) {
	rounds := 2000000 / scale / tasks
	var wg sync.WaitGroup
	begin := time.Now()
	for i := 0; i < tasks; i++ {
		wg.Add(1)
		go func() {
			for r := 0; r < rounds; r++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	report(fmt.Sprintf("yield_%d", tasks), threads, rounds*tasks, begin)
}

func joinOne(threads int) {
	n := 500000 / scale
	sum := 0
	begin := time.Now()
	for i := 0; i < n; i++ {
		done := make(chan int, 1)
		go func() { done <- 1 }()
		sum += <-done
	}
	report("join_one", threads, n, begin)
	check(sum == n, "join_one")
}

func all(threads int) {
	n := 1000000 / scale
	for round := 0; round < 2; round++ {
		var wg sync.WaitGroup
		begin := time.Now()
		wg.Add(n)
		for i := 0; i < n; i++ {
			go wg.Done()
		}
		wg.Wait()
		if round == 1 {
			report("all_warm", threads, n, begin)
		}
	}
}

func pingPong(threads int) {
	n := 500000 / scale
	a, b := make(chan int), make(chan int)
	go func() {
		for x := range a {
			b <- x + 1
		}
		close(b)
	}()
	x := 0
	begin := time.Now()
	for i := 0; i < n; i++ {
		a <- x
		x = <-b
	}
	report("ping_pong", threads, n, begin)
	close(a)
	check(x == n, "ping_pong")
}

func parkWakeNew(threads int) {
	n := 500000 / scale
	got := 0
	begin := time.Now()
	for i := 0; i < n; i++ {
		c := make(chan int)
		go func() { c <- 1 }()
		got += <-c
	}
	report("park_wake_new", threads, n, begin)
	check(got == n, "park_wake_new")
}

func main() {
	for _, a := range os.Args[2:] {
		if a == "--quick" {
			scale = 10
		}
	}
	for _, threads := range []int{1, 2} {
		runtime.GOMAXPROCS(threads)
		switch os.Args[1] {
		case "switch":
			yield(2, threads)
			yield(1000, threads)
			yield(5000, threads)
		case "spawn":
			joinOne(threads)
			all(threads)
		case "block":
			pingPong(threads)
			parkWakeNew(threads)
		}
	}
}
