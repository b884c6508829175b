//! Work on many devices, spread over the cores that nobody reads with at present where it takes long.

use crate::error::Result;
use std::num::NonZero;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// So many items tell how long the others will take.
const TRIED: usize = 4;

/// Less than this is done sooner without another thread, which begins with no memory of its own: a hundred devices that
/// were read before take 3 ms alone, and 4 with help.
const HELPED_MIN: Duration = Duration::from_millis(6);

/// Threads beside its own that help one query, at most: with it as many as there are connections that are kept.
const HELPERS_MAX: usize = 3;

/// All that may help at a time, of all queries: one core is the asking thread's.
static HELPERS_IN_ALL: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get) - 1);

/// How many help at present.
static HELPING: AtomicUsize = AtomicUsize::new(0);

/// What `work` makes of each item, in their order; after an error no other item is begun.
pub fn spread<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let (tried, left) = items.split_at(items.len().min(TRIED));
    let begun = Instant::now();
    let mut done = tried.iter().map(&work).collect::<Result<Vec<R>>>()?;
    let turns = Turns::take(helpers_wanted(begun.elapsed(), tried.len(), left.len()));
    done.append(&mut spread_over(turns.0, left, work)?);
    Ok(done)
}

/// How many threads may help with what is left, when so many items took so long.
fn helpers_wanted(taken: Duration, tried: usize, left: usize) -> usize {
    let left_ns = taken.as_nanos() / tried.max(1) as u128 * left as u128;
    HELPERS_MAX.min((left_ns / HELPED_MIN.as_nanos()) as usize)
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
    fn others_help_where_much_is_left() {
        let ms = Duration::from_millis;
        assert_eq!(helpers_wanted(ms(4), 4, 5), 0);
        assert_eq!(helpers_wanted(ms(4), 4, 6), 1);
        assert_eq!(helpers_wanted(ms(4), 4, 13), 2);
        assert_eq!(helpers_wanted(ms(4), 4, 1_000), HELPERS_MAX);
        assert_eq!(helpers_wanted(Duration::ZERO, 0, 0), 0);
    }

    #[test]
    fn what_was_tried_comes_first() {
        for count in [0, 1, TRIED, TRIED + 1, 100] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(spread(&items, |item| Ok(*item)).unwrap(), items);
        }
    }

    #[test]
    fn all_queries_together_have_no_more_helpers_than_other_cores() {
        let all: Vec<Turns> = (0..100).map(|_| Turns::take(HELPERS_MAX)).collect();
        assert!(all.iter().map(|turns| turns.0).sum::<usize>() <= *HELPERS_IN_ALL);
    }
}
