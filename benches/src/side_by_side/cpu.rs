//! Processor time: of processes, to the nanosecond, and of cores.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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
    pids.iter().filter_map(|pid| kib(&format!("/proc/{pid}/status"), "VmRSS:")).sum()
}

/// Resident memory of processes in KiB; of pages that processes share each has its part.
pub(crate) fn proportional_kib(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum()
}

fn kib(path: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

/// What a proxy used of its core, and what others did, from the beginning to the end of a measurement.
#[derive(Debug)]
pub(crate) struct Account {
    pids: Vec<u32>,
    cpu: u32,
    running: Option<(Meter, Core, Instant)>,
    spent: Spent,
}

/// What an account came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    /// Nanoseconds from beginning to end.
    pub(crate) took: f64,
    /// Nanoseconds of the proxy.
    pub(crate) used: f64,
    /// Nanoseconds of others on its core, and those taken by the hypervisor.
    pub(crate) foreign: f64,
}

impl Account {
    /// For these processes, which are pinned to that core.
    pub(crate) fn new(pids: Vec<u32>, cpu: u32) -> Self {
        Self { pids, cpu, running: None, spent: Spent::default() }
    }

    /// Begins to count.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.running = Some((Meter::start(self.pids.clone())?, Core::read(self.cpu)?, Instant::now()));
        Ok(())
    }

    /// Looks at threads that may have ended when it is looked at them again.
    pub(crate) fn sample(&mut self) {
        if let Some((meter, ..)) = &mut self.running {
            meter.sample();
        }
    }

    /// Ends to count, and adds it to what was counted before.
    pub(crate) fn end(&mut self) -> Result<()> {
        let Some((mut meter, before, began)) = self.running.take() else { return Ok(()) };
        meter.sample();
        let after = Core::read(self.cpu)?;
        let used = meter.nanoseconds();
        self.spent.took += began.elapsed().as_nanos() as f64;
        self.spent.used += used as f64;
        self.spent.foreign +=
            ((after.busy - before.busy).saturating_sub(used) + after.steal.saturating_sub(before.steal)) as f64;
        Ok(())
    }

    /// What it came to.
    pub(crate) const fn spent(&self) -> Spent {
        self.spent
    }
}

impl Spent {
    /// The share of its core that the proxy used.
    pub(crate) fn share(&self) -> f64 {
        self.used / self.took
    }

    /// The share of its core that the proxy used, of what others left of it, under a load that lasted so long. The account takes
    /// longer, by the start and the end of the load generator.
    pub(crate) fn busy_share(&self, load: Duration) -> f64 {
        self.used / (load.as_nanos() as f64 - self.foreign).max(self.used)
    }

    /// The share of its core that went to others.
    pub(crate) fn foreign_share(&self) -> f64 {
        self.foreign / self.took
    }
}
