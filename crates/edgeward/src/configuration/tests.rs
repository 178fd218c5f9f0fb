#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::cli;

/// The directory of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Options that decide the source, or whose default follows from it: to name them has an effect, whatever the value is.
const OF_THE_SOURCE: [&str; 2] = ["manifests", "watch-ingress-without-class"];

/// The file in `config/`, made from the list of options: heading, help, key and default of each.
fn commented_file() -> String {
    let defaults = Configuration::default().entries();
    let command = cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let mut file = String::from(
        "# The configuration of Edgeward: every option with its default.\n#\n\
         # A flag (--http-port 8080) wins over an environment variable (EDGEWARD_HTTP_PORT=8080), and that over this file.\n\
         # Times are 500ms, 30s, 1m30s or a number of seconds; sizes are 65536, 64k or 1m. Unknown keys are errors.\n\
         # It is read from /etc/edgeward/edgeward.yaml, or where --config says, and again on SIGHUP.\n",
    );
    let mut heading = None;
    for arg in serve.get_arguments() {
        let name = arg.get_id().as_str().replace('_', "-");
        let Some(default) = defaults.get(&name) else { continue };
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            write!(file, "\n## {}\n", heading.unwrap()).unwrap();
        }
        let help = arg.get_help().unwrap().to_string();
        let help = help.rsplit_once(" [default").map_or(&*help, |(help, _)| help).trim_end_matches('.');
        writeln!(file).unwrap();
        wrap(&mut file, &format!("{help}."));
        let values: Vec<_> = match default {
            Value::Bool(_) => Vec::new(),
            _ => arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
        };
        if !values.is_empty() {
            writeln!(file, "# One of: {}.", values.join(", ")).unwrap();
        }
        let comment = if OF_THE_SOURCE.contains(&&*name) { "# " } else { "" };
        writeln!(file, "{comment}{name}: {}", yaml(default)).unwrap();
    }
    file
}

fn wrap(file: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 100 {
            writeln!(file, "{line}").unwrap();
            line = String::from("#");
        }
        write!(line, " {word}").unwrap();
    }
    writeln!(file, "{line}").unwrap();
}

fn yaml(value: &Value) -> String {
    let is_plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.-".contains(&b))
    };
    let is_quantity = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(|c: char| c.is_ascii_alphabetic())
    };
    match value {
        Value::String(text) if is_plain(text) || is_quantity(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[test]
fn the_commented_file_is_made_from_the_list_of_options() {
    let path = workspace().join("config/edgeward.yaml");
    let expected = commented_file();
    if std::env::var_os("EDGEWARD_UPDATE_CONFIG").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(found == expected, "config/edgeward.yaml is out of date; run this test with EDGEWARD_UPDATE_CONFIG=1");
}

#[test]
fn the_commented_file_says_every_option_and_is_the_defaults() {
    let path = workspace().join("config/edgeward.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(parse(&path, &text).unwrap().resolve(), Configuration::default());
    for name in Configuration::default().entries().keys() {
        let is_said = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{name}: "));
        assert!(text.lines().any(is_said), "{name} is missing");
    }
    // Nor does it change what another source does.
    for source in [Source::Kubernetes, Source::Manifests] {
        let read = |file| {
            let flags = Options { source: Some(source), ..Options::default() };
            Sources { flags, file, defaults: Options::default() }.read().unwrap()
        };
        assert_eq!(read(Some(path.clone())), read(None));
    }
}

#[test]
fn a_layer_wins_over_the_one_below_it_option_by_option() {
    let layer = |text: &str| parse(Path::new("test.yaml"), text).unwrap();
    let flags = layer("http-port: 1");
    let file = layer("http-port: 2\nhttps-port: 2");
    let configuration = flags.over(file).resolve();
    assert_eq!((configuration.http_port, configuration.https_port, configuration.healthz_port), (1, 2, 10254));
}

#[test]
fn sources_read_the_file_below_flags_and_above_the_given_defaults() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "https-port: 4431\nhealthz-port: 9000\n").unwrap();
    let sources = Sources {
        flags: Options { https_port: Some(1443), ..Options::default() },
        file: Some(file.path().to_owned()),
        defaults: Options { healthz_port: Some(1), http_port: Some(8080), ..Options::default() },
    };
    let read = sources.read().unwrap();
    assert_eq!((read.http_port, read.https_port, read.healthz_port), (8080, 1443, 9000));
}

#[track_caller]
fn assert_refused(text: &str, at: &str, needle: &str) {
    let error = parse(Path::new("e.yaml"), text).unwrap_err().to_string();
    assert!(error.starts_with(&format!("e.yaml:{at}: ")), "{error}");
    assert!(error.contains(needle), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn errors_in_the_file_name_line_and_column() {
    assert_refused("http-port: 80\nhttp-prot: 8080\n", "2:1", "http-prot");
    assert_refused("http-port: eighty\n", "1:12", "");
    assert_refused("admin-address: 0.0.0.0:10246\n", "1:16", "loopback");
    assert_refused("header-timeout: soon\n", "1:17", "30s");
    assert_refused("http-port: 1\nhttp-port: 2\n", "2:1", "http-port");
    assert_refused("- http-port\n", "1:1", "");
}

#[test]
fn an_empty_file_says_nothing() {
    for text in ["", "# nothing\n", "---\n"] {
        assert_eq!(parse(Path::new("e.yaml"), text).unwrap(), Options::default(), "{text:?}");
    }
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let sources =
        Sources { flags: Options::default(), file: Some("/nonexistent.yaml".into()), defaults: Options::default() };
    assert!(sources.read().unwrap_err().to_string().contains("/nonexistent.yaml"));
}

#[test]
fn contradictions_are_refused_with_the_flags_to_mend() {
    let refused = |options: Options| {
        let sources = Sources { flags: options, file: None, defaults: Options::default() };
        sources.read().unwrap_err().to_string()
    };
    let twice = refused(Options { http_port: Some(8080), https_port: Some(8080), ..Options::default() });
    assert!(twice.contains("--http-port and --https-port are both 8080"), "{twice}");
    let percent = refused(Options { retry_budget: Some(101), ..Options::default() });
    assert!(percent.contains("--retry-budget is a percentage"), "{percent}");
    let ttl = refused(Options { election_ttl: Some(Period::seconds(2)), ..Options::default() });
    assert!(ttl.contains("--election-ttl must be 3s or more"), "{ttl}");
    let untrusted = refused(Options { use_proxy_protocol: Some(true), ..Options::default() });
    assert!(untrusted.contains("--proxy-protocol-trusted"), "{untrusted}");
    let path = refused(Options { health_check_path: Some("healthz".to_owned()), ..Options::default() });
    assert!(path.contains("--health-check-path"), "{path}");
    for prefix in ["nginx.ingress.kubernetes.io/", "", "Nginx.ingress.kubernetes.io", "nginx ingress"] {
        let unknown = refused(Options { annotations_prefix: Some(prefix.to_owned()), ..Options::default() });
        assert!(unknown.contains("--annotations-prefix") && unknown.contains("without the slash"), "{unknown}");
    }
}

#[test]
fn http_and_https_can_both_be_off() {
    let flags = Options { http_port: Some(0), https_port: Some(0), ..Options::default() };
    Sources { flags, file: None, defaults: Options::default() }.read().unwrap();
}

#[test]
fn periods_are_seconds_or_have_units() {
    let good = [
        ("0", 0, "0s"),
        ("30", 30_000, "30s"),
        ("500ms", 500, "500ms"),
        ("1m30s", 90_000, "90s"),
        ("2h", 7_200_000, "2h"),
        ("1s500ms", 1500, "1500ms"),
    ];
    for (text, milliseconds, shown) in good {
        let period: Period = text.parse().unwrap();
        assert_eq!(period.0, Duration::from_millis(milliseconds), "{text}");
        assert_eq!(period.to_string(), shown);
        assert_eq!(shown.parse::<Period>().unwrap(), period);
    }
    for text in ["", "s", "-1", "1.5s", "1d", "1m30", "99999999999999999999", "999999h", "1 s"] {
        assert!(text.parse::<Period>().is_err(), "{text}");
    }
}

#[test]
fn sizes_have_units_of_1024() {
    for (text, bytes, shown) in [("0", 0, "0"), ("512", 512, "512"), ("32k", 32768, "32k"), ("1024K", 1 << 20, "1m")] {
        let size: Size = text.parse().unwrap();
        assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
    }
    for text in ["", "k", "-1", "1.5k", "1kb", "99999999999999999999", "99999999999999999g"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
}

#[test]
fn references_are_namespace_and_name() {
    assert_eq!("shop/web".parse::<Reference>().unwrap().to_string(), "shop/web");
    assert_eq!("".parse::<Reference>().unwrap(), Reference(None));
    for text in ["web", "/web", "shop/", "a/b/c"] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
}

#[test]
fn the_administration_address_must_be_loopback() {
    for text in ["127.0.0.1:10246", "127.8.0.1:1", "[::1]:10246"] {
        assert!(text.parse::<LoopbackAddress>().is_ok(), "{text}");
    }
    for text in ["0.0.0.0:10246", "192.0.2.1:1", "[::]:10246", "localhost:1", "10246", ""] {
        assert!(text.parse::<LoopbackAddress>().is_err(), "{text}");
    }
}

#[test]
fn networks_may_be_single_addresses() {
    assert_eq!("10.1.2.3/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
    assert_eq!("192.0.2.1".parse::<Network>().unwrap().to_string(), "192.0.2.1/32");
    assert!("10.0.0.0/33".parse::<Network>().is_err());
}

#[test]
fn booleans_are_those_of_go() {
    for text in ["1", "t", "T", "true", "TRUE", "True"] {
        assert_eq!(parse_bool(text), Ok(true));
    }
    for text in ["0", "f", "F", "false", "FALSE", "False"] {
        assert_eq!(parse_bool(text), Ok(false));
    }
    assert!(parse_bool("yes").is_err());
}
