//! The node that this program runs on.

use std::pin::pin;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

/// How long an instance may wait for the first answer: one that cannot read its node serves all the same.
const UNKNOWN: Duration = Duration::from_secs(10);

/// Whether a node is being emptied: `kubectl cordon` and `kubectl drain` mark it so.
pub(super) fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false)
}

/// Follows whether the node `name` is cordoned, for as long as anyone wants to know (`--drain-on-cordon`). `kubectl drain`
/// does not evict the pods of a DaemonSet: without this the routers in front send traffic until the node is gone. A node
/// that cannot be read counts as what it was, and as not cordoned after [`UNKNOWN`].
pub async fn follow_cordon(client: Client, name: &str, cordoned: watch::Sender<Option<bool>>) {
    let unknown = sleep(UNKNOWN);
    tokio::pin!(unknown);
    let mut versions = pin!(watch_object(Api::<Node>::all(client), name).default_backoff());
    loop {
        let version = tokio::select! {
            version = versions.next() => version,
            () = &mut unknown, if cordoned.borrow().is_none() => {
                tracing::warn!(node = name, "whether the own node is cordoned cannot be told");
                cordoned.send_replace(Some(false));
                continue;
            }
            () = cordoned.closed() => return,
        };
        match version {
            Some(Ok(Some(node))) => {
                let is_cordoned = is_cordoned(&node);
                let known = cordoned.send_replace(Some(is_cordoned)).unwrap_or(false);
                if known != is_cordoned {
                    tracing::info!(node = name, is_cordoned, "the own node changed");
                }
            }
            Some(Ok(None)) => tracing::warn!(node = name, "the own node does not exist; is NODE_NAME right?"),
            Some(Err(error)) => tracing::warn!(node = name, %error, "cannot watch the own node; trying again"),
            None => return,
        }
    }
}
