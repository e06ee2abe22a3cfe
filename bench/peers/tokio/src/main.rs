// SPDX-License-Identifier: MIT
// The Tokio side of bench/compare: same cases, same protocol (case, threads, unit, value).
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

fn report(name: &str, threads: usize, n: usize, begin: Instant) {
    println!("{}\t{}\tns\t{:.3}", name, threads, begin.elapsed().as_nanos() as f64 / n as f64);
}

fn on<F: std::future::Future<Output = ()> + Send + 'static>(rt: &Runtime, f: F) {
    rt.block_on(async { tokio::spawn(f).await.unwrap() });
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let scale = if args.iter().any(|a| a == "--quick") { 10 } else { 1 };
    for threads in [1usize, 2] {
        let rt = Builder::new_multi_thread().worker_threads(threads).build().unwrap();
        match args[1].as_str() {
            "switch" => {
                for tasks in [2usize, 1000, 5000] {
                    on(&rt, async move {
                        let rounds = 2_000_000 / scale / tasks;
                        let begin = Instant::now();
                        let all: Vec<_> = (0..tasks)
                            .map(|_| {
                                tokio::spawn(async move {
                                    for _ in 0..rounds {
                                        tokio::task::yield_now().await;
                                    }
                                })
                            })
                            .collect();
                        for t in all {
                            t.await.unwrap();
                        }
                        report(&format!("yield_{}", tasks), threads, rounds * tasks, begin);
                    });
                }
            }
            "spawn" => on(&rt, async move {
                let n = 500_000 / scale;
                let begin = Instant::now();
                let mut sum = 0;
                for _ in 0..n {
                    sum += tokio::spawn(async { 1usize }).await.unwrap();
                }
                report("join_one", threads, n, begin);
                assert_eq!(sum, n);
                let n = 1_000_000 / scale;
                for round in 0..2 {
                    let begin = Instant::now();
                    let all: Vec<_> = (0..n).map(|_| tokio::spawn(async { 1usize })).collect();
                    let mut sum = 0;
                    for t in all {
                        sum += t.await.unwrap();
                    }
                    if round == 1 {
                        report("all_warm", threads, n, begin);
                    }
                    assert_eq!(sum, n);
                }
            }),
            "block" => on(&rt, async move {
                let n = 500_000 / scale;
                let (to, mut from_a) = mpsc::channel::<usize>(1);
                let (back, mut from_b) = mpsc::channel::<usize>(1);
                let peer = tokio::spawn(async move {
                    while let Some(x) = from_a.recv().await {
                        back.send(x + 1).await.unwrap();
                    }
                });
                let begin = Instant::now();
                let mut x = 0;
                for _ in 0..n {
                    to.send(x).await.unwrap();
                    x = from_b.recv().await.unwrap();
                }
                report("ping_pong", threads, n, begin);
                assert_eq!(x, n);
                drop(to);
                peer.await.unwrap();
                let begin = Instant::now();
                let mut got = 0;
                for _ in 0..n {
                    let (tx, rx) = oneshot::channel();
                    tokio::spawn(async move {
                        let _ = tx.send(1usize);
                    });
                    got += rx.await.unwrap();
                }
                report("park_wake_new", threads, n, begin);
                assert_eq!(got, n);
            }),
            other => panic!("no suite {}", other),
        }
    }
}
