//! Runtimes on the CPU of the thread that serves them.
//!
//! Waking a process on another CPU that sleeps costs many times what a switch on the same one costs, and a short call is
//! little more than two such wake-ups. So where one short call follows the other, a runtime is moved to the CPU of the
//! thread that sends it the event. (Measured on two CPUs: 75 us rather than 133.) Where calls run side by side no CPU
//! sleeps, and runtimes are better left to the kernel (20,000 calls/s rather than 7,000 over 16 functions); and a call that
//! turns out to be long is let go, so that it never waits for that CPU while another one is free.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use lambent_base::Clock;
use parking_lot::Mutex;

/// A call longer than this is not short.
const SHORT_CALL: Duration = Duration::from_millis(2);
/// Calls follow one another when so many began while no other ran.
const ALONE: u32 = 16;
/// How often it is looked for calls that are not.
const TICK: Duration = Duration::from_millis(4);
/// The looking ends when nothing was begun for so many ticks.
const IDLE_TICKS: u32 = 25;
/// More memory than this gives a function more than one CPU's time. Source: AWS Lambda Developer Guide, "Configure Lambda
/// function memory".
const MIB_PER_VCPU: u32 = 1_769;
const NOWHERE: usize = usize::MAX;

/// Puts the main thread of a runtime on one CPU, or on all of them.
pub(crate) trait Place: Send + Sync {
    fn place(&self, cpu: Option<usize>) -> io::Result<()>;
}

/// Where one environment's runtime is kept.
pub(crate) struct Pin {
    runtime: Arc<dyn Place>,
    cpu: AtomicUsize,
    /// When its call began, in microseconds of the pool's monotonic clock; zero when none runs.
    since_us: AtomicU64,
    /// Whether its last call was short.
    short: AtomicBool,
    allowed: AtomicBool,
}

/// All of them, and the one ticker that looks after them.
pub(crate) struct Pins {
    clock: Clock,
    all: Mutex<Vec<Weak<Pin>>>,
    ticking: AtomicBool,
    begun: AtomicU64,
    running: AtomicUsize,
    /// How many calls began, one after the other, while no other ran.
    alone: AtomicU32,
}

impl Pins {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        let (all, ticking, begun) = (Mutex::default(), AtomicBool::new(false), AtomicU64::new(0));
        let (running, alone) = (AtomicUsize::new(0), AtomicU32::new(0));
        Arc::new(Self { clock, all, ticking, begun, running, alone })
    }

    /// Takes a runtime into its care.
    pub(crate) fn add(&self, runtime: Arc<dyn Place>, memory_mib: u32) -> Arc<Pin> {
        let pin = Arc::new(Pin {
            runtime,
            cpu: AtomicUsize::new(NOWHERE),
            since_us: AtomicU64::new(0),
            short: AtomicBool::new(false),
            allowed: AtomicBool::new(memory_mib <= MIB_PER_VCPU),
        });
        if memory_mib <= MIB_PER_VCPU {
            let mut all = self.all.lock();
            if all.len() == all.capacity() {
                all.retain(|one| one.strong_count() > 0);
            }
            all.push(Arc::downgrade(&pin));
        }
        pin
    }

    /// A call begins, served by a thread on `cpu`. Must be followed by `end`.
    pub(crate) fn begin(self: &Arc<Self>, pin: &Pin, cpu: usize) {
        let is_alone = self.running.fetch_add(1, Ordering::Relaxed) == 0;
        let alone = if is_alone { self.alone.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
        self.alone.store(alone, Ordering::Relaxed);
        if !pin.allowed.load(Ordering::Relaxed) {
            return;
        }
        pin.since_us.store(self.now_us(), Ordering::Relaxed);
        let is_pinned = pin.cpu.load(Ordering::Relaxed) != NOWHERE;
        if alone == 0 || !pin.short.load(Ordering::Relaxed) {
            pin.move_to(NOWHERE);
        } else if is_pinned || alone >= ALONE {
            pin.move_to(cpu);
            self.keep_ticking();
        }
    }

    fn keep_ticking(self: &Arc<Self>) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if !self.ticking.load(Ordering::Relaxed) && !self.ticking.swap(true, Ordering::SeqCst) {
            tokio::spawn(tick(Arc::downgrade(self)));
        }
    }

    /// Its call is over.
    pub(crate) fn end(&self, pin: &Pin) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        let since = pin.since_us.swap(0, Ordering::Relaxed);
        if since > 0 {
            let short = self.now_us().saturating_sub(since) <= us(SHORT_CALL);
            pin.short.store(short, Ordering::Relaxed);
        }
    }

    /// Lets go of what runs for longer than a short call does.
    fn let_go(&self) {
        let before = self.now_us().saturating_sub(us(SHORT_CALL));
        for pin in self.all.lock().iter().filter_map(Weak::upgrade) {
            let since = pin.since_us.load(Ordering::Relaxed);
            if since > 0 && since < before {
                pin.move_to(NOWHERE);
            }
        }
    }

    /// Never zero.
    fn now_us(&self) -> u64 {
        us(self.clock.monotonic()).max(1)
    }
}

impl Pin {
    fn move_to(&self, cpu: usize) {
        if self.cpu.swap(cpu, Ordering::Relaxed) == cpu {
            return;
        }
        let moved = self.runtime.place((cpu != NOWHERE).then_some(cpu));
        if moved.is_err() {
            // It has ended, or may not be moved on this host: no reason to ask again.
            self.allowed.store(false, Ordering::Relaxed);
        }
    }
}

async fn tick(pins: Weak<Pins>) {
    let (mut idle_ticks, mut seen) = (0, 0);
    loop {
        tokio::time::sleep(TICK).await;
        let Some(pins) = pins.upgrade() else { return };
        pins.let_go();
        let begun = pins.begun.load(Ordering::Relaxed);
        idle_ticks = if begun == seen { idle_ticks + 1 } else { 0 };
        seen = begun;
        if idle_ticks == IDLE_TICKS {
            pins.ticking.store(false, Ordering::SeqCst);
            // What begins from now on starts another ticker; unless one was begun between the look and the store.
            if pins.begun.load(Ordering::SeqCst) == seen || pins.ticking.swap(true, Ordering::SeqCst) {
                return;
            }
            idle_ticks = 0;
        }
    }
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Places(Mutex<Vec<Option<usize>>>);

    impl Place for Places {
        fn place(&self, cpu: Option<usize>) -> io::Result<()> {
            self.0.lock().push(cpu);
            Ok(())
        }
    }

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_short_call_stays_with_its_thread_and_a_long_one_is_let_go() {
        let (clock, hand) = Clock::manual(1_000);
        let pins = Pins::new(clock);
        let places = Arc::new(Places::default());
        let pin = pins.add(places.clone(), 1_769);
        let call = |cpu, lasts: Duration| {
            pins.begin(&pin, cpu);
            hand.advance(lasts);
            pins.let_go();
            pins.end(&pin);
        };
        (1..ALONE).for_each(|_| call(1, MS));
        assert!(places.0.lock().is_empty(), "others may run beside it");
        call(1, MS);
        call(1, MS);
        call(0, MS);
        assert_eq!(*places.0.lock(), [Some(1), Some(0)], "it moves only when its thread has");
        call(0, 10 * MS);
        call(1, MS);
        assert_eq!(*places.0.lock(), [Some(1), Some(0), None], "the last one was long");
        call(1, MS);
        assert_eq!(places.0.lock().last(), Some(&Some(1)), "and the one after it was not");
    }

    #[tokio::test]
    async fn calls_side_by_side_are_left_to_the_kernel() {
        let pins = Pins::new(Clock::manual(1_000).0);
        let places = [Arc::new(Places::default()), Arc::new(Places::default())];
        let both = places.clone().map(|places| pins.add(places, 128));
        for _ in 0..=ALONE {
            pins.begin(&both[0], 1);
            pins.end(&both[0]);
        }
        pins.begin(&both[0], 1);
        pins.begin(&both[1], 0);
        pins.end(&both[0]);
        pins.begin(&both[0], 1);
        pins.end(&both[0]);
        pins.end(&both[1]);
        assert_eq!(*places[0].0.lock(), [Some(1), None]);
        assert!(places[1].0.lock().is_empty());
    }

    #[tokio::test]
    async fn what_has_more_than_one_cpu_is_not_kept_on_one() {
        let pins = Pins::new(Clock::manual(1_000).0);
        let places = Arc::new(Places::default());
        let pin = pins.add(places.clone(), 1_770);
        for _ in 0..3 {
            pins.begin(&pin, 1);
            pins.end(&pin);
        }
        assert!(places.0.lock().is_empty());
    }

    #[tokio::test]
    async fn what_is_gone_is_forgotten() {
        let pins = Pins::new(Clock::manual(1_000).0);
        for _ in 0..1_000 {
            drop(pins.add(Arc::new(Places::default()), 128));
        }
        assert!(pins.all.lock().len() < 16);
    }
}
