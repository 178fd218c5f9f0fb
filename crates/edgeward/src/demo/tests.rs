#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::check;

/// The configuration of the demonstration, from wherever the tests are run.
fn configuration() -> Configuration {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(MANIFESTS);
    Options { manifests: Some(vec![manifests]), ..defaults() }.resolve()
}

#[test]
fn the_example_manifests_are_without_a_mistake() {
    let report = check::examine(&configuration()).unwrap();
    assert_eq!(report.diagnostics, []);
    assert!(report.skipped.is_empty());
}

#[test]
fn every_endpoint_has_a_backend_and_the_default_one_answers_404() {
    let backends = backends(&configuration()).unwrap();
    assert_eq!(backends.len(), 10);
    let of = |port: u16| &backends[&SocketAddr::from(([127, 0, 0, 1], port))];
    assert_eq!(of(19001), &EchoBackend { name: "demo/web on port 19001".to_owned(), status: StatusCode::OK });
    assert_eq!(of(19010).status, StatusCode::NOT_FOUND);
}

#[test]
fn requests_are_one_shell_line_each() {
    let manifests = PathBuf::from("it's here/demo");
    for example in requests::examples(Place { manifests: &manifests, http: 1, https: 2 }) {
        assert!(!example.command.contains('\n') && example.command.contains("curl -sS"), "{example:?}");
        let parsed = std::process::Command::new("sh").args(["-n", "-c", &example.command]).status().unwrap();
        assert!(parsed.success(), "{example:?}");
    }
}

#[test]
fn the_edit_finds_what_it_changes() {
    let shop = std::fs::read_to_string(configuration().manifests[0].join("shop.yaml")).unwrap();
    assert_eq!(shop.matches("path: /cart").count(), 1);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let error = single(&[PathBuf::from("/nonexistent/demo")]).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/demo") && error.contains("--manifests"), "{error}");
}
