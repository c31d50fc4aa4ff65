//! Arming and expiring timers, of which a message costs none and a connection a few.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use netpoll_core::timer::Wheel;

/// Deadlines lie within so many milliseconds, as time limits of calls do.
const WITHIN: u64 = 3_000;

fn filled(timers: u64, now: Instant) -> Wheel {
    let mut wheel = Wheel::new(now);
    for key in 0..timers {
        wheel.arm(key, deadline(key, now)).expect("there is memory");
    }
    wheel
}

/// Spread evenly, and not in order.
fn deadline(key: u64, now: Instant) -> Instant {
    now + Duration::from_millis(key * 7_919 % WITHIN)
}

fn timer_wheel(criterion: &mut Criterion) {
    let now = Instant::now();
    for timers in [10, 1_000, 100_000] {
        let parameter = |name| BenchmarkId::new(name, timers);
        let mut wheel = filled(timers, now);
        criterion.bench_function_over(parameter("arm and disarm beside"), |key| {
            wheel.arm(key, deadline(key, now)).expect("there is memory");
            wheel.disarm(key, deadline(key, now));
        });
        let wheel = filled(timers, now);
        criterion.bench_function_over(parameter("next wake of"), |_| {
            black_box(wheel.next_wake());
        });
        criterion.bench_with_input(
            parameter("arm and expire all of"),
            &timers,
            |bencher, timers| {
                bencher.iter(|| {
                    let mut fired = 0;
                    filled(*timers, now)
                        .expire(now + Duration::from_millis(WITHIN), |_| fired += 1);
                    assert_eq!(fired, *timers);
                });
            },
        );
    }
}

/// A benchmark of something done with one key after the other.
trait OverKeys {
    fn bench_function_over(&mut self, id: BenchmarkId, act: impl FnMut(u64));
}

impl OverKeys for Criterion {
    fn bench_function_over(&mut self, id: BenchmarkId, mut act: impl FnMut(u64)) {
        let mut key = u64::from(u32::MAX);
        self.bench_with_input(id, &(), |bencher, ()| {
            bencher.iter(|| {
                key += 1;
                act(black_box(key));
            });
        });
    }
}

criterion_group!(benches, timer_wheel);
criterion_main!(benches);
