//! Asks a Redis server over one connection of the `redis` crate that all tasks share, and prints
//! requests a second, and microseconds of processor time for each: `client PORT TASKS DEPTH SECONDS`.

use std::env;
use std::fs;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Client, Pipeline, Value};

const KEYS: u64 = 100_000;
const VALUE_LEN: usize = 64;

#[tokio::main]
async fn main() {
    let args: Vec<u64> = env::args().skip(1).map(|arg| arg.parse().expect("a number")).collect();
    let [port, tasks, depth, seconds] = args[..] else {
        panic!("client PORT TASKS DEPTH SECONDS");
    };
    let client = Client::open(format!("redis://127.0.0.1:{port}?protocol=resp3")).expect("an address");
    let connection = client.get_multiplexed_async_connection().await.expect("a server");
    let done = Arc::new(AtomicU64::new(0));
    for task in 0..tasks {
        tokio::spawn(ask(connection.clone(), task, depth, Arc::clone(&done)));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (before, cpu_before, begun) = (done.load(Ordering::Relaxed), cpu_micros(), Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let requests = (done.load(Ordering::Relaxed) - before) as f64;
    let cpu = (cpu_micros() - cpu_before) / requests;
    println!("{:.0} {cpu:.3}", requests / begun.elapsed().as_secs_f64());
    exit(0);
}

async fn ask(mut connection: MultiplexedConnection, task: u64, depth: u64, done: Arc<AtomicU64>) {
    let value = "v".repeat(VALUE_LEN);
    let mut random = task * 7919 + 1;
    loop {
        let mut requests = Pipeline::new();
        for _ in 0..depth {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = format!("speicher:{}", (random >> 33) % KEYS);
            match (random >> 20) % 5 {
                0 => requests.cmd("SET").arg(key).arg(&value),
                _ => requests.cmd("GETRANGE").arg(key).arg(0).arg(65_535),
            };
        }
        let replies: Vec<Value> = requests.query_async(&mut connection).await.expect("replies");
        assert_eq!(replies.len() as u64, depth);
        done.fetch_add(depth, Ordering::Relaxed);
    }
}

/// What all threads have used.
fn cpu_micros() -> f64 {
    let threads = fs::read_dir("/proc/self/task").expect("Linux");
    let nanos = threads.filter_map(|thread| {
        let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e3
}
