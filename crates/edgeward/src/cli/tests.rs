#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::configuration::{Compatibility, LogLevel, Period};

fn parse_line(line: &str) -> Result<Command, clap::Error> {
    parse(std::iter::once("edgeward").chain(line.split_whitespace()).map(OsString::from))
}

#[track_caller]
fn serve(line: &str) -> ServeArguments {
    match parse_line(line).unwrap() {
        Command::Serve(arguments) => arguments,
        other => panic!("not serve: {other:?}"),
    }
}

#[test]
fn the_command_is_sound() {
    command().debug_assert();
}

#[test]
fn flags_are_read() {
    let options = serve(
        "serve --http-port 8080 --https-port=8443 --manifests a --manifests b,c --bind-address 127.0.0.1 \
         --default-backend-service shop/web --shutdown-grace-period 10 --drain-timeout 1m --compatibility strict \
         --log-level debug --proxy-protocol-trusted 10.0.0.0/8,192.0.2.1",
    )
    .options;
    assert_eq!((options.http_port, options.https_port), (Some(8080), Some(8443)));
    assert_eq!(options.manifests.unwrap(), ["a", "b", "c"].map(PathBuf::from));
    assert_eq!(options.default_backend_service.unwrap().to_string(), "shop/web");
    assert_eq!(options.shutdown_grace_period, Some(Period::seconds(10)));
    assert_eq!(options.drain_timeout, Some(Period::seconds(60)));
    assert_eq!((options.compatibility, options.log_level), (Some(Compatibility::Strict), Some(LogLevel::Debug)));
    assert_eq!(options.proxy_protocol_trusted.unwrap().len(), 2);
    assert_eq!(options.healthz_port, None);
}

#[test]
fn booleans_have_three_forms_and_never_take_the_next_word() {
    let forms = [
        ("--disable-catch-all", Some(true)),
        ("--disable-catch-all=true", Some(true)),
        ("--disable-catch-all=False", Some(false)),
        ("--disable-catch-all=0", Some(false)),
        ("", None),
    ];
    for (form, expected) in forms {
        assert_eq!(serve(&format!("serve {form}")).options.disable_catch_all, expected, "{form}");
    }
    assert!(parse_line("serve --disable-catch-all false").is_err());
    assert!(parse_line("serve --disable-catch-all=maybe").is_err());
}

#[test]
fn a_bare_flag_first_is_serve() {
    assert_eq!(serve("--http-port=8080").options.http_port, Some(8080));
    assert_eq!(serve("--status-port=1 --http-port 8080").options.http_port, Some(8080));
    assert_eq!(serve("/nginx-ingress-controller --http-port 8080").options.http_port, Some(8080));
    assert_eq!(parse_line("--help").unwrap_err().kind(), clap::error::ErrorKind::DisplayHelp);
    assert_eq!(parse_line("--version").unwrap_err().kind(), clap::error::ErrorKind::DisplayVersion);
    assert!(parse_line("").is_err());
}

#[test]
fn flags_of_ingress_nginx_without_effect_are_accepted_with_a_warning() {
    let arguments = serve(
        "--status-port=1 --disable-sync-events --sync-period 1m --v=2 --validating-webhook=:8443 \
         --post-shutdown-grace-period 10 --enable-ssl-chain-completion=false",
    );
    assert_eq!(arguments.warnings.len(), 7, "{:?}", arguments.warnings);
    for line in ["-v=2 --http-port 1", "-v 2 --http-port 1", "--http-port 1 -v2"] {
        let arguments = serve(line);
        assert_eq!((arguments.options.http_port, arguments.warnings.len()), (Some(1), 1), "{line}");
    }
    assert!(arguments.warnings.iter().all(|warning| warning.contains("has no effect here: ")));
    assert!(parse_line("serve --no-such-flag").is_err());
}

#[test]
fn every_option_has_an_environment_variable_of_its_name() {
    let command = command();
    let serve = command.find_subcommand("serve").unwrap();
    for name in Configuration::default().entries().keys() {
        let arg = serve.get_arguments().find(|arg| arg.get_long() == Some(name)).unwrap();
        let variable = format!("EDGEWARD_{}", name.to_uppercase().replace('-', "_"));
        assert_eq!(arg.get_env().unwrap().to_str(), Some(&*variable));
    }
}

#[test]
fn bad_values_are_refused() {
    for line in [
        "serve --http-port 65536",
        "serve --http-port x",
        "serve --admin-address 0.0.0.0:10246",
        "serve --drain-timeout soon",
        "serve --default-backend-service web",
        "serve --access-log nothing",
        "serve --compatibility loose",
        "serve --exclude-socket-metrics nothing",
        "check",
        "completion",
        "nonsense",
    ] {
        assert!(parse_line(line).is_err(), "{line}");
    }
}

#[test]
fn check_takes_the_flags_of_serve_and_shows_those_that_matter() {
    let Command::Check(arguments) = parse_line("check a b --format sarif --http-port 1 --configmap n/m").unwrap()
    else {
        panic!("not check");
    };
    assert_eq!(arguments.paths, ["a", "b"].map(PathBuf::from));
    assert_eq!(arguments.format, ReportFormat::Sarif);
    let mut command = command();
    let help = command.find_subcommand_mut("check").unwrap().render_long_help().to_string();
    assert!(help.contains("--configmap") && !help.contains("--http-port"), "{help}");
}

#[test]
fn the_help_of_serve_has_every_option_under_a_heading_with_its_default() {
    let mut command = command();
    let help = command.find_subcommand_mut("serve").unwrap().render_long_help().to_string();
    for name in Configuration::default().entries().keys() {
        assert!(help.contains(&format!("--{name}")), "{name}");
    }
    for heading in [heading::OBJECTS, heading::LISTENING, heading::TLS, heading::LIMITS, heading::STOPPING] {
        assert!(help.contains(&format!("{heading}:")), "{heading}");
    }
    assert!(help.contains("[default: 10254]") && help.contains("Examples:"));
    assert!(!help.contains("--status-port"));
}

#[test]
fn completions_and_manual_name_commands_and_options() {
    for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
        let script = String::from_utf8(completion(shell)).unwrap();
        assert!(script.contains("check") && script.contains("http-port"), "{shell}");
    }
    let page = String::from_utf8(manual().unwrap()).unwrap();
    for part in [".TH edgeward 1", "EDGEWARD SERVE", "EDGEWARD CHECK", r"\-\-http\-port"] {
        assert!(page.contains(part), "{part} is missing");
    }
}

/// Environment variables cannot be set in a process that has threads, so this test runs itself once more with them.
#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default() {
    const NAME: &str = "cli::tests::a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default";
    const FILE: &str = "EDGEWARD_CONFIG";
    if std::env::var_os(FILE).is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "http-port: 3\nhttps-port: 3\nworkers: 3\n").unwrap();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact"])
            .env(FILE, file.path())
            .envs([("EDGEWARD_HTTP_PORT", "2"), ("EDGEWARD_HTTPS_PORT", "2"), ("EDGEWARD_MANIFESTS", "a,b")])
            .envs([("EDGEWARD_DISABLE_CATCH_ALL", "true"), ("EDGEWARD_DRAIN_TIMEOUT", "1m")])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let ServeArguments { config, options, .. } = serve("serve --http-port 1");
    let sources = configuration::Sources { flags: options, file: config, defaults: Options::default() };
    let read = sources.read().unwrap();
    assert_eq!((read.http_port, read.https_port, read.workers, read.healthz_port), (1, 2, 3, 10254));
    assert_eq!(read.manifests, ["a", "b"].map(PathBuf::from));
    assert!(read.disable_catch_all);
    assert_eq!(read.drain_timeout, Period::seconds(60));
}
