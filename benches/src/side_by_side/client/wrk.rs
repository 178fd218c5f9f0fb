//! wrk: HTTP/1.1 as fast as the answers come.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Outcome;
use crate::process::pinned;
use crate::site::Target;

/// Prints what wrk counted, exactly; it runs once, after the last request.
const WRK_SUMMARY: &str = "done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('summary %d %d %d %d %d %d %d %d\\n', summary.duration, summary.requests, summary.bytes,
    e.connect, e.read, e.write, e.status, e.timeout))
end
";

/// Sends the requests of a file, one after another.
const SPREAD: &str = "local requests, at = {}, 0
init = function()
  for line in io.lines('@FILE@') do
    local host, path = line:match('(%S+) (%S+)')
    requests[#requests + 1] = wrk.format('GET', path, { Host = host })
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
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

/// The command for a load of that many seconds.
pub(crate) fn command(target: &Target<'_>, connections: u32, cpus: &str, seconds: u64) -> Result<Command> {
    let Target { site, address, host, request, .. } = target;
    let scheme = if request.tls { "https" } else { "http" };
    let upload = match request.upload {
        0 => String::new(),
        length => format!("wrk.method = 'POST'\nwrk.body = string.rep('a', {length})\n"),
    };
    let spread = target.spread.as_ref().map_or(String::new(), |file| SPREAD.replace("@FILE@", &file.to_string_lossy()));
    let script = site.write("wrk.lua", &[WRK_SUMMARY, &upload, &spread].concat())?;
    let mut command = pinned(cpus, "wrk");
    command.env("OPENSSL_CONF", site.write("openssl.cnf", OPENSSL)?);
    command.arg("-t1").arg(format!("-c{connections}")).arg(format!("-d{seconds}s")).arg("-s").arg(script);
    command.arg("-H").arg(format!("Host: {host}"));
    if request.closes {
        command.arg("-H").arg("Connection: close");
    }
    command.arg(format!("{scheme}://{address}{}", request.path));
    Ok(command)
}

/// Reads what the script prints.
pub(crate) fn parse(output: &str) -> Option<Outcome> {
    let line = output.lines().find_map(|line| line.strip_prefix("summary "))?;
    let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let [microseconds, requests, bytes, errors @ ..] = numbers.as_slice() else { return None };
    Some(Outcome {
        requests: *requests,
        failures: errors.iter().sum(),
        bytes: Some(*bytes),
        ..Outcome::new(Duration::from_micros(*microseconds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read_with_all_its_errors() {
        let output = "Running 1s test @ http://127.0.0.1\nsummary 1001000 40000 12000000 1 2 3 4 5\n";
        let expected = Outcome {
            requests: 40_000,
            failures: 15,
            bytes: Some(12_000_000),
            ..Outcome::new(Duration::from_millis(1001))
        };
        assert_eq!(parse(output), Some(expected));
        assert_eq!(parse("unable to connect"), None);
    }
}
