//! Work that threads share, whose results keep the order of the work.

use std::iter::Enumerate;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::vec::IntoIter;

use reel_common::Failure;

/// Threads at most: copying and digesting are as fast as a disk long before.
const MOST_THREADS: usize = 8;
/// What they hold together beside their blocks and tables, in bytes.
const HELD_BYTES: u64 = 96 << 20;

/// How many threads may work at once, each of which holds so many bytes: the processors that this process may use, at most 8, fewer
/// where they would hold more than 96 MiB together, and one in any case.
pub(super) fn threads(held_by_each: u64) -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    within(processors, held_by_each)
}

fn within(processors: usize, held_by_each: u64) -> usize {
    let affordable = usize::try_from(HELD_BYTES / held_by_each.max(1)).unwrap_or(MOST_THREADS);
    processors.min(MOST_THREADS).min(affordable).max(1)
}

/// Does all pieces of work on so many threads, of which the caller's is one.
///
/// # Errors
/// The failure of the first piece that failed; nobody begins another piece after a failure. Panics as a piece does.
pub(super) fn share<T: Send, R: Send>(
    threads: usize,
    pieces: Vec<T>,
    work: impl Fn(T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let threads = threads.min(pieces.len());
    let stopped = AtomicBool::new(false);
    let waiting = Mutex::new(pieces.into_iter().enumerate());
    let one = || {
        let _stop = StopOnPanic(&stopped);
        let mut done = Vec::new();
        while let Some((number, piece)) = next(&waiting, &stopped) {
            let result = work(piece);
            if result.is_err() {
                stopped.store(true, Ordering::Relaxed);
            }
            done.push((number, result));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        // Where the host gives no more threads, there are fewer.
        let others = (1..threads).map_while(|_| thread::Builder::new().spawn_scoped(scope, one).ok());
        let others: Vec<_> = others.collect();
        let mut done = one();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

fn next<T>(waiting: &Mutex<Enumerate<IntoIter<T>>>, stopped: &AtomicBool) -> Option<(usize, T)> {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    if stopped.load(Ordering::Relaxed) { None } else { waiting.next() }
}

/// Has the others begin nothing more when this thread panics.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use reel_common::FailureClass;

    use super::*;

    #[test]
    fn results_keep_the_order_of_the_work() {
        // Pairs that only end together, so that several threads have a part in it.
        let pair = Barrier::new(2);
        let squares = share(2, (0..100).collect(), |number: u32| {
            pair.wait();
            Ok(number * number)
        });
        assert_eq!(squares.unwrap(), (0..100).map(|number| number * number).collect::<Vec<_>>());
        assert_eq!(share(4, Vec::<u32>::new(), Ok).unwrap().len(), 0);
    }

    #[test]
    fn after_a_failure_nothing_more_is_begun_and_the_first_is_told() {
        let (begun, pair) = (AtomicUsize::new(0), Barrier::new(2));
        let failure = share(2, (0..1000).collect(), |number: u32| -> Result<(), Failure> {
            begun.fetch_add(1, Ordering::Relaxed);
            pair.wait();
            Err(Failure::new(FailureClass::Shortage, &format!("no room for {number}"), ""))
        });
        assert_eq!(failure.unwrap_err().message, "no room for 0");
        assert_eq!(begun.into_inner(), 2);
    }

    #[test]
    fn a_panic_is_passed_on_and_ends_the_work() {
        let (begun, pair) = (AtomicUsize::new(0), Barrier::new(2));
        let shared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            share(2, (0..1000).collect(), |number: u32| -> Result<(), Failure> {
                begun.fetch_add(1, Ordering::Relaxed);
                pair.wait();
                panic!("at {number}")
            })
        }));
        let panic = shared.unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().starts_with("at "));
        assert_eq!(begun.into_inner(), 2);
    }

    #[test]
    fn there_are_as_many_threads_as_memory_allows() {
        assert_eq!([0, 1, 3, 8, 64].map(|processors| within(processors, 0)), [1, 1, 3, 8, 8]);
        let held = [1 << 20, 12 << 20, 13 << 20, 48 << 20, 1 << 40, u64::MAX];
        assert_eq!(held.map(|bytes| within(8, bytes)), [8, 8, 7, 2, 1, 1]);
    }
}
