//! `edgeward demo`, and every line that it prints to try.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use edgeward_tests::PATIENCE;
use edgeward_tests::address::free_port;
use edgeward_tests::client::{Request, connect, send};
use edgeward_tests::edgeward::{binary, run};
use edgeward_tests::manifest::Manifests;
use edgeward_tests::turn;

/// What the output of each line must have, in the order in which they are printed.
const SEEN: &[&[&str]] = &[
    &["\"backend\": \"demo/web on port", "\"host\": \"shop.localhost"],
    &["\"backend\": \"demo/blog on port"],
    &["\"backend\": \"demo/api on port", "\"path\": \"/api/orders?page=2\""],
    &["\"backend\": \"demo/cart on port", "\"method\": \"POST\"", "\"body_bytes\": 6"],
    &["\"backend\": \"demo/apps on port", "\"host\": \"anything.apps.localhost"],
    &["\"backend\": \"demo/bank on port", "CN=bank.localhost", "SSL certificate verify ok"],
    &["\"backend\": \"demo/mail on port", "CN=mail.localhost", "SSL certificate verify ok"],
    &["308", "https://bank.localhost"],
    &["101 Switching Protocols", "hello from demo/web"],
    &["HTTP/2 200", "hello", "grpc-status: 0"],
    &["HTTP/2 200", "\"backend\": \"demo/bank on port"],
    &["404", "\"backend\": \"demo/default-backend on port"],
    &["\"backend\": \"demo/cart on port", "\"path\": \"/basket\""],
    &["\"backend\": \"demo/cart on port", "\"path\": \"/cart\""],
];

/// A copy of the example manifests, which the last lines edit.
fn copy() -> Manifests {
    let copy = Manifests::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo");
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.file(path.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    copy
}

#[tokio::test]
async fn every_line_that_the_demonstration_prints_shows_what_it_says() {
    // The backends of the example have fixed ports.
    let _turn = turn::alone().await;
    let manifests = copy();
    let directory = manifests.path().display().to_string();
    let (http, https) = (free_port(), free_port());
    let arguments = |more: &[String]| {
        let ports = [format!("--http-port={http}"), format!("--https-port={https}")];
        ["demo".to_owned(), format!("--manifests={directory}")].into_iter().chain(ports).chain(more.to_vec())
    };
    let printed = String::from_utf8(run(arguments(&["--print-only".to_owned()])).stdout).unwrap();
    let lines: Vec<&str> = printed.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(lines.len(), SEEN.len(), "{printed}");

    let pages = [format!("--healthz-port={}", free_port()), format!("--admin-address=127.0.0.1:{}", free_port())];
    let mut demo = Command::new(binary())
        .args(arguments(&pages))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], http));
    let started = Instant::now();
    while connect(address, None).await.is_err() {
        assert!(started.elapsed() < PATIENCE && demo.try_wait().unwrap().is_none(), "the demonstration does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(send(address, &Request::get("blog.localhost", "/")).await.status(), 200);

    let mut wrong = Vec::new();
    for (line, seen) in lines.iter().zip(SEEN) {
        let output = Command::new("bash").arg("-c").arg(line).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).replace('\0', "");
        for part in seen.iter().filter(|part| !text.contains(**part)) {
            wrong.push(format!("{line}\nshows no {part:?}: {text}"));
        }
        if !output.status.success() {
            wrong.push(format!("{line}\nends with {}: {text}", output.status));
        }
    }
    // This very child.
    let _ = demo.kill();
    let _ = demo.wait();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
