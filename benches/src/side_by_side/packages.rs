//! The programs of other projects that the comparison needs.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

/// Each program and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("taskset", "util-linux"),
    ("setpriv", "util-linux"),
];

/// Where a program is, on `PATH` or where Debian keeps servers, which is not on every user's `PATH`.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(|directory| Path::new(directory).to_owned()))
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Makes sure that all programs are there: as root it installs their packages, else it names them.
pub(crate) fn require() -> Result<()> {
    let mut missing = missing();
    if !missing.is_empty() && is_root() && find("apt-get").is_some() {
        eprintln!("installing {}", missing.join(" "));
        let _ = apt_get(&["update"]);
        apt_get(&[&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat())?;
        missing = self::missing();
    }
    ensure!(missing.is_empty(), "missing: run `apt-get install {}` as root, and try again", missing.join(" "));
    Ok(())
}

fn missing() -> Vec<&'static str> {
    let mut packages: Vec<_> =
        PROGRAMS.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

fn is_root() -> bool {
    let own = |status: &str| status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| own(&status))
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "`apt-get {}` failed", arguments.join(" "));
    Ok(())
}

/// The version that a program names itself, in one line.
pub(crate) fn version(program: &Path, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).stdin(Stdio::null()).output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().find(|line| !line.is_empty()).unwrap_or("unknown").trim().to_owned()
}
