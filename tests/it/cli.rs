//! The command line.

use edgeward_tests::certificate::Authority;
use edgeward_tests::edgeward::{Launch, run};
use edgeward_tests::manifest::{Ingress, Manifests, service_alone, tls_secret};
use edgeward_tests::turn;
use serde_json::Value;

/// Exit code, standard output and standard error.
fn of(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_command_has_help_and_the_process_says_what_it_is() {
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["demo", "--help"],
        &["check", "--help"],
        &["version", "--help"],
        &["man"],
        &["completion", "bash"],
        &["completion", "zsh"],
        &["completion", "fish"],
    ] {
        let (code, output, _) = of(arguments);
        assert_eq!(code, Some(0), "{arguments:?}");
        assert!(output.len() > 60, "{arguments:?} prints {output:?}");
    }
    let (code, output, _) = of(&["version"]);
    assert!(code == Some(0) && output.starts_with("edgeward "), "{output}");
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    for (arguments, named) in [
        (&["serv"][..], "serv"),
        (&["serve", "--no-such-flag"], "--no-such-flag"),
        (&["serve", "--http-port", "70000"], "70000"),
        (&["serve", "--bind-address", "not-an-address"], "not-an-address"),
        (&["serve", "--configmap", "without-a-slash"], "without-a-slash"),
        (&["serve", "--access-log", "$no_such_variable"], "no_such_variable"),
        (&["check", "/no/such/directory"], "/no/such/directory"),
        (&["check", "--format", "xml"], "xml"),
    ] {
        let (code, _, error) = of(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains(named) && !error.contains("panicked"), "{arguments:?}: {error}");
    }
}

/// A directory with one error and one warning in one file.
fn faulty() -> Manifests {
    let manifests = Manifests::new();
    manifests.write(
        "faulty.yaml",
        "# The host in line 8 is none.\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: faulty\n\
         spec:\n  rules:\n  - host: bad_host!\n",
    );
    manifests
}

#[test]
fn check_shows_the_line_with_a_caret() {
    let manifests = faulty();
    let (code, text, _) = of(&["check", &manifests.path().display().to_string()]);
    assert_eq!(code, Some(1), "{text}");
    let place = format!("{}:8:11", manifests.file("faulty.yaml").display());
    assert!(text.contains(&place) && text.contains("error[InvalidHost]"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.iter().position(|line| line.contains("- host: bad_host!")).expect("the line that is wrong");
    let column = lines[shown].find("bad_host!").unwrap();
    assert_eq!(lines[shown + 1].find('^'), Some(column), "{text}");
    assert!(!text.contains('\u{1b}'), "colours without a terminal");
}

#[test]
fn check_writes_sarif() {
    let manifests = faulty();
    let (code, text, _) = of(&["check", "--format=sarif", &manifests.path().display().to_string()]);
    assert_eq!(code, Some(1), "{text}");
    let sarif: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"InvalidHost".into(), &"error".into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!((&place["region"]["startLine"], &place["region"]["startColumn"]), (&8.into(), &11.into()), "{place}");
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("faulty.yaml"), "{place}");
}

#[test]
fn the_exit_code_of_check_is_what_fail_on_says() {
    let manifests = Manifests::new();
    manifests.write("service.yaml", service_alone("web", 8080));
    manifests.write("ingress.yaml", Ingress::new("web").annotation("affinity", "cookie").host("a.test", "web").text());
    let directory = manifests.path().display().to_string();
    // Warnings only: no endpoints, and an annotation that is not honoured.
    for (flag, code) in [
        ("--fail-on=error", 0),
        ("--fail-on=warning", 1),
        ("--strict-warnings", 1),
        ("--fail-on=info", 1),
        ("--fail-on=never", 0),
    ] {
        assert_eq!(of(&["check", flag, &directory]).0, Some(code), "{flag}");
    }
    manifests.write("secret.yaml", tls_secret("tls", &Authority::new().pair("a.test")));
    manifests.write("ingress.yaml", "kind: [");
    assert_eq!(of(&["check", "--fail-on=never", &directory]).0, Some(0));
    assert_eq!(of(&["check", &directory]).0, Some(1));
}

#[tokio::test]
async fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let _turn = turn::shared().await;
    let manifests = Manifests::new();
    let files = Manifests::new();
    files.write("edgeward.yaml", "drain-timeout: 11s\nkeepalive-timeout: 11s\nheader-timeout: 11s\n");
    let edgeward = Launch::new(manifests.path())
        .argument(format!("--config={}", files.file("edgeward.yaml").display()))
        .environment("EDGEWARD_KEEPALIVE_TIMEOUT", "12s")
        .environment("EDGEWARD_HEADER_TIMEOUT", "12s")
        .argument("--header-timeout=13s")
        .start()
        .await;
    let configuration = edgeward.admin("/configuration").await.json();
    let value = |name: &str| configuration[name].as_str().unwrap_or_default().to_owned();
    assert_eq!([value("drain-timeout"), value("keepalive-timeout"), value("header-timeout")], ["11s", "12s", "13s"]);
}

#[tokio::test]
async fn the_commented_configuration_file_holds_the_defaults() {
    let _turn = turn::shared().await;
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/edgeward.yaml");
    let manifests = Manifests::new();
    let configuration = async |launch: Launch| {
        let mut configuration = launch.start().await.admin("/configuration").await.json();
        for own in ["http-port", "https-port", "healthz-port", "admin-address"] {
            assert!(configuration.as_object_mut().unwrap().remove(own).is_some(), "{own}");
        }
        configuration
    };
    let launch = Launch::new(manifests.path());
    let with_file = launch.clone().argument(format!("--config={}", file.display()));
    assert_eq!(configuration(with_file).await, configuration(launch).await);
}
