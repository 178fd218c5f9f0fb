//! Processor time: of processes, to the nanosecond, and of cores.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// Adds up the processor time that processes use while it is sampled.
///
/// The kernel keeps it per thread in `/proc/PID/task/TID/schedstat`, and forgets it with the thread: so it is sampled
/// now and then, and a thread that ends loses no more than what it used since the last sample.
#[derive(Debug)]
pub(crate) struct Meter {
    pids: Vec<u32>,
    /// By thread: nanoseconds at the start (0 for one that began later) and at the last sample.
    threads: BTreeMap<u32, (u64, u64)>,
}

impl Meter {
    /// Starts from what the processes have used up to now.
    pub(crate) fn start(pids: Vec<u32>) -> Result<Self> {
        let mut meter = Self { pids, threads: BTreeMap::new() };
        meter.sample();
        // A kernel without scheduler statistics has no such file, and every proxy would look free of charge.
        anyhow::ensure!(!meter.threads.is_empty(), "this kernel tells no processor time in /proc/PID/task/*/schedstat");
        for (first, last) in meter.threads.values_mut() {
            *first = *last;
        }
        Ok(meter)
    }

    /// Looks again.
    pub(crate) fn sample(&mut self) {
        for pid in &self.pids {
            let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for task in tasks.flatten() {
                let used = std::fs::read_to_string(task.path().join("schedstat"))
                    .ok()
                    .and_then(|text| text.split_whitespace().next()?.parse().ok());
                if let (Some(used), Some(thread)) = (used, task.file_name().to_str().and_then(|name| name.parse().ok()))
                {
                    self.threads.entry(thread).or_insert((0, 0)).1 = used;
                }
            }
        }
    }

    /// Nanoseconds used from the start to the last sample.
    pub(crate) fn nanoseconds(&self) -> u64 {
        self.threads.values().map(|(first, last)| last.saturating_sub(*first)).sum()
    }
}

/// What a core did up to now, in nanoseconds, as exact as the clock ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Core {
    /// Spent on anything but idling.
    pub(crate) busy: u64,
    /// Taken by the hypervisor.
    pub(crate) steal: u64,
}

impl Core {
    /// Reads the account of a core from `/proc/stat`.
    pub(crate) fn read(cpu: u32) -> Result<Self> {
        /// `/proc/stat` counts in units of USER_HZ, which is 100 on every Linux that Rust runs on.
        const TICK: u64 = 10_000_000;
        let stat = std::fs::read_to_string("/proc/stat")?;
        let name = format!("cpu{cpu} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name));
        let line = line.with_context(|| format!("there is no processor core {cpu}"))?;
        let ticks: Vec<u64> = line.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        let field = |at: usize| ticks.get(at).copied().unwrap_or(0) * TICK;
        // user, nice, system, (idle, iowait,) irq, softirq
        Ok(Self { busy: [0, 1, 2, 5, 6].map(field).iter().sum(), steal: field(7) })
    }
}

/// Resident memory of processes in KiB; pages that a worker shares with its master count twice.
pub(crate) fn resident_kib(pids: &[u32]) -> u64 {
    let resident = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    pids.iter().filter_map(resident).sum()
}
