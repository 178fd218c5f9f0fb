//! TLS that is passed on to endpoints as it comes (`ssl-passthrough`).

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use edgeward_routing::Snapshot;
use edgeward_routing::backend::Backend;
use edgeward_routing::balance;
use edgeward_routing::endpoint::InFlight;
use edgeward_routing::host::Host;
use edgeward_routing::policy;
use edgeward_routing::policy::networks::Verdict;
use smallvec::SmallVec;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connection::{Lifecycle, Phase};
use crate::shortage::is_ours;

/// Bytes that are read at once, each way.
const BUFFER: usize = 16 << 10;

/// An endpoint that is gone without a word is found out about after this time of silence.
const SILENCE: Duration = Duration::from_secs(60);

/// Who gets the TLS of a server name.
pub(super) struct Passthrough {
    snapshot: Arc<Snapshot>,
    policy: Arc<policy::Passthrough>,
    backend: Arc<Backend>,
}

impl Passthrough {
    /// Where the TLS of the host with that name goes. `None` where it ends here.
    pub(super) fn of_name(snapshot: &Arc<Snapshot>, server_name: Option<&str>) -> Option<Self> {
        if !snapshot.settings.passes_tls {
            return None;
        }
        let host = Host::normalize(server_name?)?;
        // All routes of a host have its policies.
        let policies = snapshot.routes.host(host.as_str())?.routes().first()?.policies.host.as_ref()?;
        let policy = Arc::clone(policies.passthrough.as_ref()?);
        let backend = Arc::clone(snapshot.backends.by_key(&policy.backend)?);
        Some(Self { snapshot: Arc::clone(snapshot), policy, backend })
    }

    /// Passes a connection on until one side is gone or a drain closes tunnels, `hello` before the rest. A client whose network is
    /// refused, or for which no endpoint is there, is only disconnected: there is no way to tell it anything.
    pub(super) async fn serve(self, mut downstream: TcpStream, hello: Vec<u8>, client: IpAddr, lifecycle: &Lifecycle) {
        if self.refuses(client) {
            return tracing::debug!(%client, backend = %self.backend.name, "TLS is not passed on: the network is refused");
        }
        let Some((_in_flight, mut upstream)) = self.connect().await else {
            return tracing::debug!(%client, backend = %self.backend.name, "TLS is not passed on: no endpoint can be reached");
        };
        // It may go on for days: of all this it keeps only its count.
        drop(self);
        let is_sent = upstream.write_all(&hello).await.is_ok();
        drop(hello);
        if is_sent {
            let mut copy = pin!(copy_bidirectional_with_sizes(&mut downstream, &mut upstream, BUFFER, BUFFER));
            poll_fn(|cx| match lifecycle.phase() >= Phase::Closing {
                true => Poll::Ready(()),
                // An end that breaks off ends the other one as well.
                false => copy.as_mut().poll(cx).map(|_| ()),
            })
            .await;
        }
    }

    fn refuses(&self, client: IpAddr) -> bool {
        let is_blocked = self.snapshot.settings.block.as_ref().is_some_and(|block| block.networks.contains(client));
        let networks = self.policy.networks.as_ref();
        is_blocked || networks.is_some_and(|networks| networks.judge(client) == Verdict::Refused)
    }

    /// A connection to an endpoint, of as many as the route may try.
    async fn connect(&self) -> Option<(InFlight, TcpStream)> {
        let ejection = &self.snapshot.settings.ejection;
        let mut tried = SmallVec::<[_; 3]>::new();
        for _ in 0..self.policy.tries {
            let endpoint = &self.backend.endpoints[balance::pick(&self.backend, ejection, &tried, None)?];
            if tried.contains(&endpoint.addr) {
                return None;
            }
            match timeout(self.policy.connect_timeout, TcpStream::connect(endpoint.addr)).await {
                Ok(Ok(upstream)) => {
                    endpoint.state.record_success();
                    let keepalive = TcpKeepalive::new().with_time(SILENCE);
                    // Without these it is only slower to notice and to answer.
                    let _ = SockRef::from(&upstream).set_tcp_keepalive(&keepalive);
                    let _ = upstream.set_nodelay(true);
                    return Some((endpoint.state.begin(), upstream));
                }
                Ok(Err(error)) if is_ours(&error) => return None,
                Ok(Err(_)) | Err(_) => {
                    balance::record_failure(&self.backend, &endpoint.state, ejection);
                    tried.push(endpoint.addr);
                }
            }
        }
        None
    }
}
