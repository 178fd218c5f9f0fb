//! h2load: HTTP/2 as fast as the answers come.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Outcome;
use crate::grpc;
use crate::process::pinned;
use crate::row::Protocol;
use crate::site::Target;

/// The command for a load of that many seconds.
pub(crate) fn command(
    target: &Target<'_>,
    connections: u32,
    streams: u32,
    cpus: &str,
    seconds: u64,
) -> Result<Command> {
    let Target { site, address, host, request, .. } = target;
    let scheme = if request.tls { "https" } else { "http" };
    let mut command = pinned(cpus, "h2load");
    command.arg("-t1").arg(format!("-c{connections}")).arg(format!("-m{streams}")).arg(format!("-D{seconds}"));
    command.arg("--groups=X25519").arg("--tls13-ciphers=TLS_AES_256_GCM_SHA384");
    command.arg(format!("--connect-to={address}"));
    if request.protocol == Protocol::Grpc {
        command.arg("-d").arg(site.write_bytes("message", grpc::MESSAGE)?);
        command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
    }
    command.arg(format!("{scheme}://{host}{}", request.path));
    Ok(command)
}

/// Reads what h2load prints.
pub(crate) fn parse(output: &str) -> Option<Outcome> {
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
        failures: failures + other + u64::from(!is_http2),
        bytes: Some(data.split_once(')')?.0.parse().ok()?),
        ..Outcome::new(Duration::try_from_secs_f64(seconds).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read_with_all_that_is_no_success() {
        let output = "\
Application protocol: h2
finished in 5.00s, 20000.20 req/s, 4.2MB/s
requests: 100128 total, 100128 started, 100001 done, 99990 succeeded, 11 failed, 7 errored, 4 timeout
status codes: 99990 2xx, 3 3xx, 2 4xx, 1 5xx
traffic: 20.98MB (22000220) total, 3.05MB (3200032) headers (space savings 80.12%), 12.40MB (13000130) data
";
        let expected = Outcome {
            requests: 99_990,
            failures: 11 + 7 + 4 + 6,
            bytes: Some(13_000_130),
            ..Outcome::new(Duration::from_secs(5))
        };
        assert_eq!(parse(output).as_ref(), Some(&expected));
        let fallen_back = output.replace("protocol: h2", "protocol: http/1.1");
        assert_eq!(parse(&fallen_back).map(|outcome| outcome.failures), Some(expected.failures + 1));
        let short = output.replace("5.00s", "997.85ms");
        assert_eq!(parse(&short).map(|outcome| outcome.took), Some(Duration::from_micros(997_850)));
        assert_eq!(parse("finished in 5s"), None);
    }
}
