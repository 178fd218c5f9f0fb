//! The binary under test.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::address::free_port;
use crate::client::{Connection, Request, connect};
use crate::message::Message;

/// Environment variable that names the binary, for a run against another build.
const BINARY: &str = "EDGEWARD_BIN";

/// Where the binary is: `EDGEWARD_BIN`, else beside the test executable.
///
/// # Panics
///
/// When it is not there: a test of a missing binary must fail, not be skipped.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os(BINARY) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{BINARY} names {}, which is no file", path.display());
        return path;
    }
    // The test executable is target/PROFILE/deps/it-HASH.
    let test = std::env::current_exe().expect("the path of the test executable");
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE above the test executable");
    let path = profile.join("edgeward");
    assert!(
        path.is_file(),
        "{} is missing: build it with `cargo build -p edgeward` (add --release for a release run), or name another \
         build in {BINARY}",
        path.display()
    );
    path
}

/// Runs the binary to its end, for commands that end by themselves.
///
/// # Panics
///
/// When it cannot be started, or has not ended after three times [`PATIENCE`].
pub fn run<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    let binary = binary();
    let mut child = command(&binary)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run {}: {e}", binary.display()));
    let stdout = read_to_end(child.stdout.take().expect("stdout is piped"));
    let stderr = read_to_end(child.stderr.take().expect("stderr is piped"));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the process can be waited for") {
            break status;
        }
        if started.elapsed() > 3 * PATIENCE {
            // It is this very child; that it may have ended by now is all the same.
            let _ = child.kill();
            panic!("{} should have ended by itself", binary.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let collect = |reader: JoinHandle<Vec<u8>>| reader.join().expect("reading a pipe does not panic");
    Output { status, stdout: collect(stdout), stderr: collect(stderr) }
}

fn read_to_end(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a failure is all there is to show.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

/// The one setting that tests take from the environment, so that they can be run on each of the HTTP/1 engines.
const ENGINE: &str = "EDGEWARD_FAST_PATH";

/// Whether everything is left to Pingora's engine.
pub fn is_on_pingora() -> bool {
    std::env::var(ENGINE).is_ok_and(|value| value == "false")
}

/// The binary with the environment of the image, and no settings from that of this process but [`ENGINE`].
fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("EDGEWARD_") && name != ENGINE) {
            command.env_remove(name);
        }
    }
    // As in the image.
    command.env("MIMALLOC_PURGE_DELAY", "100").stdin(Stdio::null());
    command
}

/// `edgeward serve`, about to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    source: Vec<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    access_log: String,
    workers: usize,
    reads_output: bool,
    reads_log: bool,
    patience: Duration,
    wrapper: Vec<String>,
}

impl Launch {
    /// Over a directory of manifests; two workers, the access log as JSON.
    pub fn new(manifests: &Path) -> Self {
        Self::of(vec!["--manifests".to_owned(), manifests.display().to_string()])
    }

    /// Over a cluster, with this identity.
    pub fn cluster(kubeconfig: &Path) -> Self {
        Self::of(vec!["--kubeconfig".to_owned(), kubeconfig.display().to_string()])
    }

    fn of(source: Vec<String>) -> Self {
        Self {
            source,
            arguments: Vec::new(),
            environment: Vec::new(),
            access_log: "json".to_owned(),
            workers: 2,
            reads_output: true,
            reads_log: true,
            patience: 3 * PATIENCE,
            wrapper: Vec::new(),
        }
    }

    /// Under another program, of which these are the name and the arguments, and which becomes it or takes its place.
    #[must_use]
    pub fn under(mut self, wrapper: &str) -> Self {
        self.wrapper = wrapper.split_whitespace().map(str::to_owned).collect();
        // It may be fifty times slower so.
        self.patience = 12 * PATIENCE;
        self
    }

    /// With one more argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With `--access-log`.
    #[must_use]
    pub fn access_log(mut self, format: &str) -> Self {
        format.clone_into(&mut self.access_log);
        self
    }

    /// With this number of workers.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// With an output stream that is open and that nobody reads, as when a log collector hangs.
    #[must_use]
    pub fn output_unread(mut self) -> Self {
        self.reads_output = false;
        self
    }

    /// With a log that nobody reads either.
    #[must_use]
    pub fn log_unread(mut self) -> Self {
        self.reads_log = false;
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn start(self) -> Edgeward {
        let started = Instant::now();
        let mut edgeward = self.spawn();
        while !edgeward.is_ready().await {
            if let Ok(Some(status)) = edgeward.child.try_wait() {
                panic!("edgeward serve {:?} ended with {status}", self.arguments);
            }
            assert!(started.elapsed() < self.patience, "edgeward is not ready after {:?}", self.patience);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        edgeward.ready_after = started.elapsed();
        edgeward
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When there is no such program.
    pub fn spawn(&self) -> Edgeward {
        let binary = binary();
        let port = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (http, https, health, admin) = (port(), port(), port(), port());
        // Not that of a service on this machine.
        let is_given = self.arguments.iter().any(|argument| argument.starts_with("--config="));
        let config: &[&str] = if is_given { &[] } else { &["--config=/dev/null"] };
        let mut command = match self.wrapper.split_first() {
            Some((wrapper, arguments)) => {
                let mut command = command(Path::new(wrapper));
                command.args(arguments).arg(&binary);
                command
            }
            None => command(&binary),
        };
        let mut child = command
            .arg("serve")
            .args(config)
            .args(&self.source)
            .args(["--bind-address", "127.0.0.1", "--workers", &self.workers.to_string()])
            .args(["--access-log", &self.access_log])
            .args(["--http-port", &http.port().to_string(), "--https-port", &https.port().to_string()])
            .args([
                "--healthz-host",
                "127.0.0.1",
                "--healthz-port",
                &health.port().to_string(),
                "--admin-address",
                &admin.to_string(),
            ])
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {}: {e}", binary.display()));
        let stdout = match self.reads_output {
            true => Lines::collect(child.stdout.take().expect("stdout is piped")),
            // The pipe stays open in `child`.
            false => Lines::default(),
        };
        let stderr = match self.reads_log {
            true => Lines::collect(child.stderr.take().expect("stderr is piped")),
            false => Lines::default(),
        };
        Edgeward { child, http, https, health, admin, stdout, stderr, ready_after: Duration::ZERO }
    }
}

/// What to tell the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM
    Terminate,
    /// SIGHUP
    Hangup,
}

/// A running `edgeward serve`. It is killed at the end of the test, and its log is shown if the test fails.
#[derive(Debug)]
pub struct Edgeward {
    child: Child,
    /// Where it serves HTTP.
    pub http: SocketAddr,
    /// Where it serves HTTPS.
    pub https: SocketAddr,
    /// Where it tells its health and metrics.
    pub health: SocketAddr,
    /// Where it shows its state.
    pub admin: SocketAddr,
    stdout: Lines,
    stderr: Lines,
    ready_after: Duration,
}

impl Edgeward {
    /// Starts it over a directory with all defaults.
    pub async fn start(manifests: &Path) -> Self {
        Launch::new(manifests).start().await
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How long it took from start to ready.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Whether `/readyz` answers 200.
    pub async fn is_ready(&self) -> bool {
        self.ask(self.health, "/readyz").await.is_some_and(|answer| answer.status() == 200)
    }

    /// GET on the health listener; `None` when it does not answer.
    pub async fn health(&self, path: &str) -> Option<Message> {
        self.ask(self.health, path).await
    }

    /// The administration page about mistakes, once those of the first snapshot are on it: traffic does not wait for them.
    pub async fn diagnostics(&self) -> Message {
        loop {
            let page = self.admin("/diagnostics").await;
            if page.json()["generation"] != 0 {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until this snapshot, or a later one, is served.
    ///
    /// # Panics
    ///
    /// When it does not come.
    pub async fn reaches_generation(&self, generation: u64) {
        let started = Instant::now();
        loop {
            let detail = self.health("/readyz").await.map(|answer| answer.json());
            if detail.is_some_and(|detail| detail["generation"].as_u64() >= Some(generation)) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "generation {generation} does not come");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// GET on the admin listener.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub async fn admin(&self, path: &str) -> Message {
        self.ask(self.admin, path).await.unwrap_or_else(|| panic!("no answer to {path} of the admin listener"))
    }

    async fn ask(&self, addr: SocketAddr, path: &str) -> Option<Message> {
        let stream = connect(addr, None).await.ok()?;
        let mut connection = Connection::over(stream);
        let request = Request::get(&addr.to_string(), path).header("Connection", "close");
        connection.write(request.bytes()).await.ok()?;
        connection.read_response("GET").await.ok()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "TERM",
            Signal::Hangup => "HUP",
        };
        // The shell's own `kill`: sending a signal from Rust needs unsafe code or one more dependency.
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.pid()))
            .status()
            .expect("a shell to send the signal with");
        assert!(status.success(), "process {} takes no signal", self.pid());
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// When it still runs after `patience`.
    pub async fn wait_exit(&mut self, patience: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be waited for") {
                return status;
            }
            assert!(start.elapsed() < patience, "edgeward still runs {patience:?} after it was told to end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether it still runs.
    ///
    /// # Panics
    ///
    /// When the process cannot be asked for.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the process can be waited for").is_none()
    }

    /// Its resident memory in bytes.
    ///
    /// # Panics
    ///
    /// When it is gone.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS of the process");
        let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("VmRSS in kB");
        kib * 1024
    }

    /// What it has written to its error stream so far.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// What it has written to its output stream so far.
    pub fn output(&self) -> String {
        self.stdout.text()
    }

    /// The access log so far, written as JSON.
    pub fn access_log(&self) -> Vec<serde_json::Value> {
        let text = self.stdout.text() + &self.stderr.text();
        text.lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|entry| entry.get("status").is_some())
            .collect()
    }

    /// Waits for an entry of the access log.
    ///
    /// # Panics
    ///
    /// When there is none within [`PATIENCE`].
    pub async fn access_log_entry(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let start = Instant::now();
        loop {
            if let Some(entry) = self.access_log().into_iter().find(&wanted) {
                return entry;
            }
            assert!(start.elapsed() < PATIENCE, "the access log has no such entry: {:#?}", self.access_log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Edgeward {
    fn drop(&mut self) {
        // It may have ended already; both calls are about this very child.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.stderr.text();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- the end of edgeward's log ---\n{tail}\n---");
        }
    }
}

/// Lines of an output stream, collected while the process runs so that it never blocks on a full pipe.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn collect(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let sink = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                sink.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        lines
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}
