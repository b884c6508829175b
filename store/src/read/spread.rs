//! Work on many devices, spread over the cores that nobody reads with at present.

use crate::error::Result;
use std::num::NonZero;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Another thread is worth its start for so many devices: what was read before takes a device 30 µs, and is there.
const DEVICES_MIN: usize = 16;

/// Threads beside its own that help one query, at most: with it as many as there are connections that are kept.
const HELPERS_MAX: usize = 3;

/// All that may help at a time, of all queries: one core is the asking thread's.
static HELPERS_IN_ALL: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get) - 1);

/// How many help at present.
static HELPING: AtomicUsize = AtomicUsize::new(0);

/// What `work` makes of each item, in their order; after an error no other item is begun.
pub fn spread<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let turns = Turns::take(HELPERS_MAX.min(items.len() / DEVICES_MIN));
    spread_over(turns.0, items, work)
}

fn spread_over<T: Sync, R: Send>(
    helpers: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    if helpers == 0 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let share = || -> Result<Vec<(usize, R)>> {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return Ok(done) };
            let made = work(item).inspect_err(|_| next.store(items.len(), Ordering::Relaxed))?;
            done.push((at, made));
        }
    };
    thread::scope(|scope| {
        // A thread that cannot be started is one that does not help.
        let start = |_| thread::Builder::new().name("reader".into()).spawn_scoped(scope, share).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(start).collect();
        let mut done = share();
        for helper in helpers {
            let others = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done = done.and_then(|mut done| {
                done.append(&mut others?);
                Ok(done)
            });
        }
        let mut done = done?;
        done.sort_unstable_by_key(|(at, _)| *at);
        Ok(done.into_iter().map(|(_, made)| made).collect())
    })
}

/// Threads that may be started, given back when dropped.
struct Turns(usize);

impl Turns {
    fn take(wanted: usize) -> Turns {
        let mut taken = 0;
        let add = |helping: usize| {
            taken = wanted.min(HELPERS_IN_ALL.saturating_sub(helping));
            Some(helping + taken)
        };
        let _ = HELPING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        Turns(taken)
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        HELPING.fetch_sub(self.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn what_several_make_comes_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..1_000).collect();
        for helpers in 0..4 {
            let made = spread_over(helpers, &items, |item| Ok(item * 2)).unwrap();
            assert_eq!(made, (0..1_000).map(|i| i * 2).collect::<Vec<_>>(), "{helpers} helpers");
        }
    }

    #[test]
    fn an_error_ends_it_whoever_meets_it() {
        for helpers in 0..4 {
            let begun = AtomicUsize::new(0);
            let made = spread_over(helpers, &[(); 1_000], |()| {
                begun.fetch_add(1, Ordering::Relaxed);
                Err::<(), _>(Error::Closed)
            });
            assert!(matches!(made, Err(Error::Closed)));
            assert!(begun.into_inner() <= helpers + 1, "{helpers} helpers");
        }
    }

    #[test]
    fn all_queries_together_have_no_more_helpers_than_other_cores() {
        let all: Vec<Turns> = (0..100).map(|_| Turns::take(HELPERS_MAX)).collect();
        assert!(all.iter().map(|turns| turns.0).sum::<usize>() <= *HELPERS_IN_ALL);
    }
}
