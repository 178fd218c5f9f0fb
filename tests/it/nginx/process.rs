//! Debian's nginx as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use edgeward_tests::PATIENCE;
use edgeward_tests::client::connect;
use tempfile::TempDir;

/// A running nginx. It is killed at the end of the test.
#[derive(Debug)]
pub(super) struct Nginx {
    child: Child,
    directory: TempDir,
}

/// Where nginx is: on `PATH`, or where Debian keeps servers, which is not on every user's `PATH`.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(|directory| Path::new(directory).to_owned());
    let mut files = std::env::split_paths(&path).chain(sbin).map(|directory| directory.join("nginx"));
    files.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("nginx is missing, and with it what Edgeward is compared with: `make setup-test` installs it")
    })
}

impl Nginx {
    /// Starts it with this `http` block, and waits until it listens on `addr`.
    pub(super) async fn start(http: &str, addr: SocketAddr) -> Self {
        let directory = TempDir::with_prefix("edgeward-nginx-").unwrap();
        let configuration = directory.path().join("nginx.conf");
        // One process, so that to kill it ends it. The paths for bodies are relative to the directory that is its prefix.
        let text = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log error.log warn;\nworker_rlimit_nofile 4096;\n\
             events {{ worker_connections 2048; }}\nhttp {{\nclient_body_temp_path body;\nproxy_temp_path proxy;\n\
             fastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\naccess_log off;\n{http}}}\n"
        );
        std::fs::write(&configuration, &text).unwrap();
        let child = Command::new(program())
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut this = Self { child, directory };
        let started = Instant::now();
        while connect(addr, None).await.is_err() {
            let is_running = matches!(this.child.try_wait(), Ok(None));
            assert!(is_running && started.elapsed() < 3 * PATIENCE, "nginx does not start:\n{}", this.log());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        this
    }

    /// What it has written to its log.
    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended already; both calls are about this very child.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(directory) = std::env::var_os("EDGEWARD_NGINX_KEEP") {
            let _ = std::fs::create_dir_all(&directory);
            for name in ["nginx.conf", "error.log"] {
                let _ = std::fs::copy(self.directory.path().join(name), Path::new(&directory).join(name));
            }
        }
    }
}
