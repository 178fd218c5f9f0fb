//! What the system knows of this process (proc(5)).

use std::fs;

/// Clock ticks per second in /proc: `USER_HZ`, which is 100 on every architecture that Rust and Linux share.
const TICKS_PER_SECOND: f64 = 100.0;

/// What was read. A file that is not readable leaves zeros: a missing number must not take the others with it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) start_time_seconds: f64,
    pub(super) resident_bytes: f64,
    pub(super) virtual_bytes: f64,
    pub(super) read_bytes: f64,
    pub(super) write_bytes: f64,
    pub(super) open_files: f64,
}

impl Process {
    pub(super) fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let boot_seconds = field(&text("/proc/stat"), "btime").unwrap_or_default();
        let open_files = fs::read_dir("/proc/self/fd").map_or(0.0, |entries| entries.count() as f64);
        let (status, io) = (text("/proc/self/status"), text("/proc/self/io"));
        let stat = Stat::parse(&text("/proc/self/stat")).unwrap_or_default();
        Self {
            cpu_seconds: stat.cpu_ticks / TICKS_PER_SECOND,
            start_time_seconds: boot_seconds + stat.start_ticks / TICKS_PER_SECOND,
            resident_bytes: field(&status, "VmRSS:").unwrap_or_default() * 1024.0,
            virtual_bytes: field(&status, "VmSize:").unwrap_or_default() * 1024.0,
            read_bytes: field(&io, "read_bytes:").unwrap_or_default(),
            write_bytes: field(&io, "write_bytes:").unwrap_or_default(),
            open_files,
        }
    }
}

/// The number after `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Stat {
    cpu_ticks: f64,
    start_ticks: f64,
}

impl Stat {
    /// Reads /proc/PID/stat. The second field is the program's name in parentheses and may hold anything, so that the
    /// fields are counted from behind the last parenthesis: the third one is first there.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |nth: usize| fields.get(nth - 3)?.parse::<f64>().ok();
        Some(Self { cpu_ticks: number(14)? + number(15)?, start_ticks: number(22)? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 4200 20";
        assert_eq!(Stat::parse(text).unwrap(), Stat { cpu_ticks: 300.0, start_ticks: 4200.0 });
    }

    #[test]
    fn this_process_has_used_memory_and_files() {
        let process = Process::read();
        assert!(process.resident_bytes > 0.0 && process.virtual_bytes >= process.resident_bytes);
        assert!(process.open_files > 0.0 && process.start_time_seconds > 1e9);
    }
}
