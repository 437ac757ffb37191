//! What the kernel says about this process.

use std::fs;

/// Bytes of memory that are resident, shared file pages included; none where `/proc` is not mounted.
pub fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    resident_pages(&text).map(|pages| pages * rustix::param::page_size() as u64)
}

/// Seconds of CPU that all threads together have used.
pub fn cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are 2.8 million years")]
    cpu_ticks(&text).map(|ticks| ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Field 2 of proc_pid_statm(5).
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Fields 14 and 15 of proc_pid_stat(5), counted after the name, which may hold spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_the_manuals() {
        assert_eq!(resident_pages("900 431 300 200 0 150 0\n"), Some(431));
        assert_eq!(cpu_ticks("7 (a ) b) S 1 7 7 0 -1 4194560 120 0 0 0 35 7 0 0 20 0 2 0 99"), Some(42));
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes().unwrap() > 100_000);
        assert!(cpu_seconds().unwrap() >= 0.0);
    }
}
