//! The load generators: how they are started, and what they say of what they got.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process::pinned;
use crate::row::{Load, Row};
use crate::site::Site;

/// Prints what wrk counted, exactly; it runs once, after the last request.
const WRK_SUMMARY: &str = "done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('summary %d %d %d %d %d %d %d %d\\n', summary.duration, summary.requests, summary.bytes,
    e.connect, e.read, e.write, e.status, e.timeout))
end
";

/// What OpenSSL, which wrk is built with, offers: the peers do not all take the same of what it would offer by itself.
const OPENSSL: &str = "openssl_conf = main
[main]
ssl_conf = ssl
[ssl]
system_default = all
[all]
MinProtocol = TLSv1.3
Groups = X25519
Ciphersuites = TLS_AES_256_GCM_SHA384
";

/// How much longer than it was told a load generator may take.
const GRACE: Duration = Duration::from_secs(15);

/// What a load generator got.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    /// Right answers.
    pub(crate) requests: u64,
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
    /// Requests that failed, or were answered other than 2xx.
    pub(crate) failures: u64,
    /// Bytes of the answers: of wrk all of them, of h2load those of the bodies.
    pub(crate) bytes: u64,
}

/// Runs the load of a row against an address for that many seconds, and `watch` every now and then meanwhile.
pub(crate) fn run(
    row: &Row,
    to: SocketAddr,
    site: &Site,
    cpus: &str,
    seconds: u32,
    mut watch: impl FnMut(),
) -> Result<Outcome> {
    let mut command = command(row, to, site, cpus, seconds)?;
    let child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot start the load generator")?;
    let mut child = Guard(child);
    let deadline = Instant::now() + Duration::from_secs(u64::from(seconds)) + GRACE;
    while child.0.try_wait()?.is_none() {
        watch();
        ensure!(Instant::now() < deadline, "the load generator does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    watch();
    // Both print a few lines only, which their pipes hold until now.
    let text = |pipe: Option<&mut dyn std::io::Read>| -> Result<String> {
        let mut text = String::new();
        pipe.context("the output was not captured")?.read_to_string(&mut text)?;
        Ok(text)
    };
    let output = text(child.0.stdout.as_mut().map(|pipe| pipe as _))?;
    let outcome = match row.load {
        Load::Wrk { .. } | Load::Handshakes { .. } | Load::Idle { .. } => parse_wrk(&output),
        Load::H2load { .. } => parse_h2load(&output),
    };
    match outcome {
        Some(outcome) => Ok(outcome),
        None => bail!(
            "cannot read what the load generator says:\n{output}{}",
            text(child.0.stderr.as_mut().map(|pipe| pipe as _))?
        ),
    }
}

/// Kills the load generator when measuring ends early.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(row: &Row, to: SocketAddr, site: &Site, cpus: &str, seconds: u32) -> Result<Command> {
    let scheme = if row.tls { "https" } else { "http" };
    Ok(match row.load {
        Load::Wrk { connections, close } => {
            let upload = match row.upload {
                0 => String::new(),
                length => format!("wrk.method = 'POST'\nwrk.body = string.rep('a', {length})\n"),
            };
            let script = site.write("wrk.lua", &(WRK_SUMMARY.to_owned() + &upload))?;
            let mut command = pinned(cpus, "wrk");
            command.env("OPENSSL_CONF", site.write("openssl.cnf", OPENSSL)?);
            command.arg("-t1").arg(format!("-c{connections}")).arg(format!("-d{seconds}s")).arg("-s").arg(script);
            command.arg("-H").arg(format!("Host: {}", site.host));
            if close {
                command.arg("-H").arg("Connection: close");
            }
            command.arg(format!("{scheme}://{to}{}", row.path));
            command
        }
        Load::Handshakes { threads, resumed } => {
            let mut command = pinned(cpus, std::env::current_exe()?);
            command.args(["handshakes", "--to", &to.to_string(), "--host", &site.host, "--path", row.path]);
            command.arg(format!("--seconds={seconds}")).arg(format!("--threads={threads}"));
            command.args(resumed.then_some("--resumed"));
            command
        }
        Load::Idle { .. } => bail!("idle connections are no load"),
        Load::H2load { connections, streams } => {
            let mut command = pinned(cpus, "h2load");
            command.arg("-t1").arg(format!("-c{connections}")).arg(format!("-m{streams}")).arg(format!("-D{seconds}"));
            command.arg("--groups=X25519").arg("--tls13-ciphers=TLS_AES_256_GCM_SHA384");
            command.arg(format!("--connect-to={to}"));
            command.arg(format!("{scheme}://{}{}", site.host, row.path));
            command
        }
    })
}

fn parse_wrk(output: &str) -> Option<Outcome> {
    let line = output.lines().find_map(|line| line.strip_prefix("summary "))?;
    let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let [microseconds, requests, bytes, errors @ ..] = numbers.as_slice() else { return None };
    Some(Outcome {
        requests: *requests,
        seconds: *microseconds as f64 / 1e6,
        failures: errors.iter().sum(),
        bytes: *bytes,
    })
}

fn parse_h2load(output: &str) -> Option<Outcome> {
    let line = |start: &str| output.lines().find_map(|line| line.strip_prefix(start));
    // "requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout"
    let count = |line: &str, word: &str| -> Option<u64> {
        line.split(',').find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
    };
    let requests = line("requests: ")?;
    let codes = line("status codes: ")?;
    let succeeded = count(requests, "succeeded")?;
    // "traffic: 1.44MB (1510000) total, 33.20KB (34000) headers (space savings 95.00%), 1.24MB (1300000) data"
    let data = line("traffic: ")?.rsplit_once('(')?.1;
    // "finished in 5.00s, 1234.50 req/s, 1.2MB/s", or "in 997.85ms"
    let took = line("finished in ")?.split_once("s,")?.0;
    let seconds = match took.strip_suffix('m') {
        Some(milliseconds) => milliseconds.parse::<f64>().ok()? / 1e3,
        None => took.parse().ok()?,
    };
    let failures = ["failed", "errored", "timeout"].iter().map(|word| count(requests, word)).sum::<Option<u64>>()?;
    let other = ["3xx", "4xx", "5xx"].iter().map(|word| count(codes, word)).sum::<Option<u64>>()?;
    // An h2load that fell back to HTTP/1.1 measures another row.
    let is_http2 = line("Application protocol: ") == Some("h2");
    Some(Outcome {
        requests: count(codes, "2xx")?.min(succeeded),
        seconds,
        failures: failures + other + u64::from(!is_http2),
        bytes: data.split_once(')')?.0.parse().ok()?,
    })
}

#[cfg(test)]
mod tests;
