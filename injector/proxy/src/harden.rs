//! What the process gives up, and the one limit it raises, before it opens anything.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Makes the process unreadable for others of the pod and lets it open as many sockets as the container may.
///
/// Not dumpable: no core file and no ptrace or `/proc/PID/mem` for another process of the same uid, so that keys stay
/// with the process; core files of no size say it a second time, also to who looks from outside. Two descriptors a connection: the usual soft limit of 1,024 would end at 500 connections.
/// SIGPIPE is ignored by Rust's runtime since before `main`; a write to a closed socket is an error value.
///
/// The result is how many descriptors that is.
pub fn harden() -> u64 {
    // None of it can fail on the kernels that Kubernetes runs on, and a proxy without them still serves its pod.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::dumpable_behavior;

    #[test]
    fn nobody_reads_our_memory_and_descriptors_suffice() {
        let descriptors = harden();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(descriptors, limit.current.unwrap_or(u64::MAX));
    }
}
