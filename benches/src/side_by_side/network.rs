//! A network of the run's own: nothing else is in it, and its congestion control is known.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::args::Args;
use crate::packages;

/// What a host's own congestion control is called in `--congestion-control`.
const HOST: &str = "host";

/// Brings up the loopback of a new namespace, makes connections through it use this congestion control (`congctl` of a route
/// holds for both of their ends), and goes on with the program behind it.
const SETUP: &str = r#"
set -e
ip=$1 control=$2; shift 2
"$ip" link set lo up
for to in 127.0.0.0/8 127.0.0.1; do
  "$ip" route replace table local local $to dev lo proto kernel scope host src 127.0.0.1 congctl "$control"
done
exec "$@"
"#;

/// Starts this program anew in a network namespace that has only a loopback, with the congestion control that was asked for.
/// Returns in that namespace, or at once where the host's network was asked for.
///
/// # Errors
///
/// There is no such namespace to be had; unshare(1) or ip(8) has written why.
pub(crate) fn enter(args: &Args) -> Result<()> {
    if args.in_own_network || args.congestion_control == HOST {
        return Ok(());
    }
    let tried = inside(args)?.arg("true").status().context("cannot run unshare")?;
    ensure!(
        tried.success(),
        "cannot make a network with the congestion control {}: see above; `--congestion-control host` measures without one",
        args.congestion_control
    );
    let program = std::env::current_exe().context("cannot tell what program this is")?;
    let failed = inside(args)?.arg(program).arg("--in-own-network").args(std::env::args_os().skip(1)).exec();
    Err(failed).context("cannot run unshare")
}

/// What runs the program that comes behind it in a namespace of its own.
fn inside(args: &Args) -> Result<Command> {
    let ip = packages::find("ip").context("ip is gone")?;
    let mut unshare = Command::new("unshare");
    unshare.arg("--net");
    if !packages::is_root() {
        // Without root a namespace of users allows it, in which one is who one was.
        unshare.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    unshare.args(["sh", "-c", SETUP, "sh"]).arg(ip).arg(&args.congestion_control);
    Ok(unshare)
}

/// The congestion control that all connections of the run use.
pub(crate) fn congestion_control(args: &Args) -> String {
    if args.congestion_control != HOST {
        return args.congestion_control.clone();
    }
    let host = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
    host.map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
