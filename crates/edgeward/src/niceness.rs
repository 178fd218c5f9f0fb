//! How the threads beside the workers yield to them.

/// How much they yield where both want a processor: they are behind the workers in the queue, and still have a tenth of a
/// processor that a worker keeps busy.
const CONTROL_NICENESS: i32 = 10;

/// Has the calling thread, and those that it starts from now on, yield to the workers. A system that forbids it has them at
/// one level.
pub(crate) fn yield_to_workers() {
    // On Linux it is the thread that is meant.
    let _ = rustix::process::setpriority_process(None, CONTROL_NICENESS);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_yield_that_a_yielding_thread_starts_and_no_others() {
        let niceness = || rustix::process::getpriority_process(None).ok();
        let before = niceness();
        let started = thread::spawn(move || {
            yield_to_workers();
            thread::spawn(niceness).join().ok().flatten()
        });
        assert_eq!(started.join().ok().flatten(), Some(CONTROL_NICENESS));
        assert_eq!(niceness(), before);
    }
}
