//! The same work on several threads, which share out among themselves what there is to do.

use crate::Result;

/// More threads than this wait for the disk and for each other.
const MOST: usize = 8;

/// Runs `work` on as many threads as there are processors, but not on more than `most`; what each gave. The first failure
/// is told once all have ended.
pub(crate) fn on_threads<T: Send>(most: usize, work: impl Fn() -> Result<T> + Sync) -> Result<Vec<T>> {
    let count = std::thread::available_parallelism().map_or(1, usize::from).min(MOST).min(most.max(1));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        let results: Vec<Result<T>> = workers
            .into_iter()
            .map(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect();
        results.into_iter().collect()
    })
}
