//! A runner is batch work, and says so to the kernel.

use std::mem::{MaybeUninit, size_of};

/// How long a thread runs before another of its kind gets its turn: the most that the kernel takes.
const SLICE_NS: u64 = 100_000_000;

/// Has the calling thread, and the threads that it starts from now on, run long at a time: encoders that take turns every
/// few milliseconds fill the processor's caches anew each time, which cost two of a hundred seconds on two cores. Others
/// do not wait for it, since the kernel lets a thread with a short slice in at once (`sched(7)`, `sched_setattr(2)`).
///
/// Linux before 6.12 has batch threads but no slices of their own. Where a sandbox forbids it, or somebody has chosen
/// another policy, all stays as it is.
pub fn run_as_batch() {
    let mut current = MaybeUninit::<libc::sched_attr>::zeroed();
    let size = size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes at most `size` bytes into the structure, of which all zeros is a value, and reads it.
    unsafe {
        if libc::syscall(libc::SYS_sched_getattr, 0, current.as_mut_ptr(), size, 0) != 0 {
            return;
        }
        let mut wanted = current.assume_init();
        if wanted.sched_policy == libc::SCHED_OTHER as u32 {
            wanted.sched_policy = libc::SCHED_BATCH as u32;
            wanted.sched_runtime = SLICE_NS;
            libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_inherit_the_policy_and_nobody_elses_is_changed() {
        // SAFETY: asks for the policy of the calling thread.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        let told = std::thread::spawn(move || {
            run_as_batch();
            (policy(), std::thread::spawn(policy).join().unwrap())
        });
        assert_eq!(told.join().unwrap(), (libc::SCHED_BATCH, libc::SCHED_BATCH));
        assert_eq!(policy(), libc::SCHED_OTHER);
    }
}
