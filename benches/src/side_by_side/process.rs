//! Child processes that are pinned to cores and never outlive this one.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);

/// A running child. It and its children are ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// A command that runs on these cores and gets SIGTERM when this program dies, however it dies. Settings of Edgeward in
/// this program's environment are not its own.
pub(crate) fn pinned(cpus: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "-c", cpus]).arg(program).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("EDGEWARD_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Pins this program with all its threads: it reads clocks beside the load generator, not beside the proxy.
pub(crate) fn pin_self(cpus: &str) -> Result<()> {
    let status = Command::new("taskset")
        .args(["-acp", cpus, &std::process::id().to_string()])
        .stdout(Stdio::null())
        .status()
        .context("cannot run taskset")?;
    ensure!(status.success(), "cannot run on the processor cores {cpus}: see --client-cpus");
    Ok(())
}

impl Process {
    /// Starts a command; what it writes to standard error goes to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self { child })
    }

    /// The process and all processes below it.
    pub(crate) fn family(&self) -> Vec<u32> {
        family(self.child.id())
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let family: Vec<String> = self.family().iter().map(u32::to_string).collect();
        // The standard library can only send SIGKILL, and that would leave the workers of a killed master behind.
        let _ = Command::new("sh").arg("-c").arg(format!("kill -TERM {} 2>/dev/null", family.join(" "))).status();
        let deadline = Instant::now() + GRACE;
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process and all that descend from it.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let above = found[at];
        found.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, so fields are counted from its end.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
