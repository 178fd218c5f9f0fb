//! A real Kubernetes API: etcd, kube-apiserver and the EndpointSlice controller, on loopback, for one test.
//!
//! Its binaries are built by `tests/cluster/build.sh`. There is no kubelet: a Pod is an object, and what it would serve is
//! a [`crate::backend::Backend`] on an address of [`POD_NETWORK`]. EndpointSlices refuse loopback addresses, so that the
//! cluster tests run in a network namespace of their own in which that network is local; `make cluster` makes it.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::address::{POD_PORT, free_port};
use crate::certificate::Authority;

/// Environment variable with the directory of the binaries.
const BINARIES: &str = "EDGEWARD_TESTBED_BIN";

/// What is local in the network namespace of the cluster tests.
pub const POD_NETWORK: &str = "10.201.0.0/16";

/// The namespace that Edgeward is in, and the name of its service account.
pub const NAMESPACE: &str = "edgeward";

/// The one node.
pub const NODE: &str = "node-1";

/// How long the API server may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);

static NEXT_POD: AtomicU8 = AtomicU8::new(1);

/// An address for the next pod.
///
/// # Panics
///
/// Outside of the network namespace, for nothing there could have it.
pub fn pod_address() -> SocketAddr {
    let address = SocketAddr::from((Ipv4Addr::new(10, 201, 0, NEXT_POD.fetch_add(1, Ordering::Relaxed)), POD_PORT));
    if let Err(error) = TcpListener::bind(address) {
        panic!(
            "{address} is not local ({error}): run the cluster tests by `make cluster`, which makes {POD_NETWORK} local"
        );
    }
    address
}

/// A running API.
#[derive(Debug)]
pub struct Cluster {
    directory: TempDir,
    binaries: PathBuf,
    /// Where the API server listens.
    pub server: SocketAddr,
    processes: Vec<Child>,
    api_server: Option<Child>,
    api_server_arguments: Vec<String>,
}

impl Cluster {
    /// Starts one, with the manifest for bare metal applied, and its node.
    ///
    /// # Panics
    ///
    /// When it does not start: a cluster test without a cluster must fail.
    pub fn start() -> Self {
        Self::start_with("baremetal")
    }

    /// Starts one, with one of the manifests that ship applied, and its node.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start_with(manifest: &str) -> Self {
        let binaries = std::env::var_os(BINARIES).map(PathBuf::from).unwrap_or_else(|| {
            panic!("{BINARIES} is not set: run the cluster tests by `make cluster`, which builds an API server first")
        });
        let directory = TempDir::with_prefix_in("edgeward-cluster-", in_memory()).expect("a temporary directory");
        let ports = [free_port(), free_port(), free_port()];
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[2]));
        let mut cluster = Self {
            directory,
            binaries,
            server,
            processes: Vec::new(),
            api_server: None,
            api_server_arguments: Vec::new(),
        };
        cluster.write_credentials();
        cluster.spawn(
            "etcd",
            &[
                "--data-dir",
                &cluster.file("etcd").display().to_string(),
                "--listen-client-urls",
                &url(ports[0]),
                "--advertise-client-urls",
                &url(ports[0]),
                "--listen-peer-urls",
                &url(ports[1]),
                "--initial-advertise-peer-urls",
                &url(ports[1]),
                "--initial-cluster",
                &format!("default={}", url(ports[1])),
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        );
        let file = |name: &str| cluster.file(name).display().to_string();
        cluster.api_server_arguments = [
            ("etcd-servers", url(ports[0])),
            ("bind-address", "127.0.0.1".to_owned()),
            ("advertise-address", "127.0.0.1".to_owned()),
            ("secure-port", ports[2].to_string()),
            ("tls-cert-file", file("server.crt")),
            ("tls-private-key-file", file("server.key")),
            ("token-auth-file", file("tokens.csv")),
            ("authorization-mode", "RBAC".to_owned()),
            ("anonymous-auth", "false".to_owned()),
            ("service-cluster-ip-range", "10.96.0.0/16".to_owned()),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("service-account-key-file", file("accounts.pub")),
            ("service-account-signing-key-file", file("accounts.key")),
            ("endpoint-reconciler-type", "none".to_owned()),
            ("enable-priority-and-fairness", "false".to_owned()),
            ("allow-privileged", "true".to_owned()),
            // There are no controllers that these plugins rely on, nor a kubelet.
            (
                "disable-admission-plugins",
                "ServiceAccount,TaintNodesByCondition,DefaultTolerationSeconds,StorageObjectInUseProtection".to_owned(),
            ),
        ]
        .map(|(name, value)| format!("--{name}={value}"))
        .into();
        cluster.start_api_server();
        cluster.kubectl_with(
            &["apply", "-f", "-"],
            &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}).to_string(),
        );
        cluster.apply(&std::fs::read_to_string(shipped(manifest)).expect("a manifest that ships"));
        cluster.spawn("epsctl", &["--kubeconfig", &cluster.kubeconfig().display().to_string()]);
        cluster
    }

    /// Starts the API server, again if it was stopped.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start_api_server(&mut self) {
        let child = self.run("kube-apiserver", &self.api_server_arguments);
        let child = self.api_server.insert(child);
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("the process can be waited for") {
                panic!("kube-apiserver ended with {status}");
            }
            std::thread::sleep(Duration::from_millis(50));
            if started.elapsed() > START {
                panic!("the API server is not ready after {START:?}");
            }
            let is_there =
                |arguments: &[&str]| try_kubectl(&self.binaries, self.directory.path(), arguments, "").status.success();
            if is_there(&["get", "--raw", "/readyz"]) && is_there(&["get", "namespace", "default"]) {
                return;
            }
        }
    }

    /// Kills the API server, as a crash would.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill_api_server(&mut self) {
        let mut child = self.api_server.take().expect("the API server runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
    }

    /// A kubeconfig with all rights.
    pub fn kubeconfig(&self) -> PathBuf {
        self.file("admin.kubeconfig")
    }

    /// A kubeconfig with the identity of Edgeward's service account.
    pub fn service_account(&self) -> PathBuf {
        self.file("edgeward.kubeconfig")
    }

    /// The same, for an API server that is reached at another address.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn service_account_at(&self, server: SocketAddr) -> PathBuf {
        let path = self.file("edgeward-at.kubeconfig");
        let text = std::fs::read_to_string(self.service_account()).expect("a kubeconfig");
        std::fs::write(&path, text.replace(&self.server.to_string(), &server.to_string())).expect("it can be written");
        path
    }

    /// Runs kubectl with all rights, and gives what it prints.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_with(arguments, "")
    }

    /// `kubectl apply` of manifests.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn apply(&self, manifests: &str) {
        self.kubectl_with(&["apply", "-f", "-"], manifests);
    }

    /// Runs kubectl with this input.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> String {
        let output = self.try_kubectl(arguments, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs kubectl, which may fail.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn try_kubectl(&self, arguments: &[&str], input: &str) -> Output {
        try_kubectl(&self.binaries, self.directory.path(), arguments, input)
    }

    /// What the chart makes of one of the values files in its `ci/`.
    ///
    /// # Panics
    ///
    /// When helm fails.
    pub fn helm_template(&self, values: &str, template: &str) -> String {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/charts/edgeward");
        let values = chart.join(format!("ci/{values}-values.yaml"));
        let output = Command::new(self.binaries.join("helm"))
            .args(["template", "edgeward"])
            .arg(&chart)
            .args(["--namespace", NAMESPACE, "--show-only", template, "--values"])
            .arg(values)
            .output()
            .expect("helm can be started");
        assert!(output.status.success(), "helm template: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A client with all rights, for what is too much for kubectl.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub async fn client(&self) -> kube::Client {
        let file = kube::config::Kubeconfig::read_from(self.kubeconfig()).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await.expect("a configuration");
        kube::Client::try_from(config).expect("a client")
    }

    /// Creates a Pod that runs on the node and is ready at once.
    ///
    /// # Panics
    ///
    /// When the API server refuses.
    pub fn pod(&self, name: &str, app: &str, address: SocketAddr) {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": app}},
            "spec": {
                "nodeName": NODE,
                "terminationGracePeriodSeconds": 30,
                "containers": [{"name": "echo", "image": "echo", "ports": [{"name": "http", "containerPort": POD_PORT}]}],
            },
        });
        self.kubectl_with(&["create", "-f", "-"], &pod.to_string());
        let status = json!({"status": {
            "phase": "Running",
            "podIP": address.ip(),
            "podIPs": [{"ip": address.ip()}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}],
        }});
        self.kubectl(&["patch", "pod", name, "--subresource=status", "--type=merge", "-p", &status.to_string()]);
    }

    /// An object as the API server has it.
    ///
    /// # Panics
    ///
    /// When there is no such object.
    pub fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", kind, name, "-o", "json"])).expect("JSON of kubectl")
    }

    /// What a process has logged.
    pub fn log(&self, process: &str) -> String {
        std::fs::read_to_string(self.file(&format!("{process}.log"))).unwrap_or_default()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn spawn(&mut self, name: &str, arguments: &[&str]) {
        let child = self.run(name, arguments);
        self.processes.push(child);
    }

    fn run<S: AsRef<std::ffi::OsStr>>(&self, name: &str, arguments: &[S]) -> Child {
        let program = self.binaries.join(name);
        let log = std::fs::File::options().create(true).append(true).open(self.file(&format!("{name}.log")));
        let log = log.expect("a log file");
        Command::new(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()))
    }

    fn write_credentials(&self) {
        let write = |name: &str, text: String| std::fs::write(self.file(name), text).expect("a temporary file");
        let authority = Authority::new();
        let pair = authority.issue_for_address("kube-apiserver", Ipv4Addr::LOCALHOST.into());
        write("server.crt", pair.certificate_pem);
        write("server.key", pair.key_pem);
        write("authority.crt", authority.certificate_pem());
        let accounts = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        write("accounts.key", accounts.serialize_pem());
        write("accounts.pub", accounts.public_key_pem());
        write(
            "tokens.csv",
            format!(
                "admin-token,admin,admin,\"system:masters\"\nedgeward-token,system:serviceaccount:{NAMESPACE}:edgeward,\
                 edgeward,\"system:serviceaccounts,system:authenticated\"\n"
            ),
        );
        for (name, token, namespace) in [("admin", "admin-token", "default"), ("edgeward", "edgeward-token", NAMESPACE)]
        {
            let config = json!({
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": {
                    "server": format!("https://{}", self.server),
                    "certificate-authority": self.file("authority.crt"),
                }}],
                "users": [{"name": name, "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": name, "namespace": namespace}}],
                "current-context": "test",
            });
            write(&format!("{name}.kubeconfig"), config.to_string());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.api_server.iter_mut().chain(self.processes.iter_mut().rev()) {
            // These very children; whether one has ended before is all the same.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn try_kubectl(binaries: &Path, directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(binaries.join("kubectl"))
        .arg("--kubeconfig")
        .arg(directory.join("admin.kubeconfig"))
        .args(arguments)
        .env("HOME", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl can be started");
    // What it does not read, it does not need.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    child.wait_with_output().expect("kubectl can be waited for")
}

/// Where files cost no disk: etcd writes every change.
fn in_memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() }
}

/// A manifest that ships: namespace, service account, rights and class among it.
pub fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/static").join(name).join("deploy.yaml")
}
