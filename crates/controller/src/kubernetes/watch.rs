//! Watching one kind in one scope: lists first, then every change.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use kube::Resource;
use kube::api::{Api, ListParams};
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, sleep_until};

use super::contact::{Contact, Trouble};
use super::convert::{self, Convert};
use super::feed::{Closed, Feed};
use crate::object::ObjectRef;

/// How long the API server keeps a watch open. A connection that died in silence is noticed five seconds later.
const WATCH_SECONDS: u32 = 60;

/// Pauses between attempts: short at first, for most failures last a moment, and at most as long as a change may be late
/// once the API server is back. They are short again when nothing has failed for a while; not as soon as anything succeeds,
/// for a list may succeed and the watch after it fail, again and again.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    failed: Option<Instant>,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(5);
    const QUIET: Duration = Duration::from_secs(30);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST, failed: None }
    }

    pub(super) fn after_failure(&mut self, now: Instant) -> Duration {
        if self.failed.is_none_or(|failed| now - failed > Self::QUIET) {
            self.next = Self::FIRST;
        }
        self.failed = Some(now);
        let pause = self.next.mul_f64(0.75 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(Self::LONGEST);
        pause
    }
}

/// A kind that can be watched.
pub(super) trait Watched: Convert + Clone + DeserializeOwned + Debug + Send + 'static {}

impl<K: Convert + Clone + DeserializeOwned + Debug + Send + 'static> Watched for K {}

/// What to watch of a kind.
pub(super) struct Watch<K> {
    pub(super) api: Api<K>,
    /// Restricts it by labels; empty for no restriction.
    pub(super) labels: String,
    /// Restricts it by fields; empty for no restriction.
    pub(super) fields: String,
    /// Whether the API server sends the first list as a stream (WatchList), one object at a time.
    pub(super) streams_lists: bool,
    /// When an empty list of what was not empty is believed: if a second look after this time finds nothing either.
    pub(super) doubt: Duration,
    /// Is told of every object as it comes, before it is converted.
    pub(super) observe: fn(&K, &Contact),
    pub(super) pauses: Pauses,
}

/// Why a watch begins anew.
enum End {
    /// It must list again.
    Again,
    /// Nobody receives any more.
    Closed,
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl<K> Watch<K>
where
    K: Resource<DynamicType = ()> + Watched,
{
    /// Feeds what the API server says until nobody receives any more.
    pub(super) async fn run(mut self, mut feed: Feed) {
        while let End::Again = self.follow(&mut feed).await {}
    }

    async fn follow(&mut self, feed: &mut Feed) -> End {
        let events = watcher(self.api.clone(), self.config());
        match self.follow_events(pin!(events), feed).await {
            Ok(end) => end,
            Err(Closed) => End::Closed,
        }
    }

    async fn follow_events(
        &mut self,
        mut events: impl Stream<Item = Result<Event<K>, watcher::Error>> + Unpin,
        feed: &mut Feed,
    ) -> Result<End, Closed> {
        let mut doubt: Option<Instant> = None;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = feed.closed() => return Err(Closed),
                () = sleep_until(doubt.unwrap_or_else(Instant::now)), if doubt.is_some() => {
                    if !self.is_empty().await {
                        return Ok(End::Again);
                    }
                    doubt = None;
                    feed.end_list().await?;
                    continue;
                }
            };
            match event {
                Some(Ok(Event::Init)) => {
                    feed.begin_list();
                    doubt = None;
                }
                Some(Ok(Event::InitApply(object))) => {
                    (self.observe)(&object, feed.contact());
                    feed.take_in(object.convert()).await?;
                }
                Some(Ok(Event::InitDone)) => {
                    if feed.is_list_empty() && feed.holds_objects().await {
                        feed.doubt(self.doubt);
                        doubt = Some(Instant::now() + self.doubt);
                    } else {
                        feed.end_list().await?;
                    }
                }
                Some(Ok(Event::Apply(object))) => {
                    (self.observe)(&object, feed.contact());
                    feed.applied(object.convert()).await?;
                }
                Some(Ok(Event::Delete(object))) => {
                    let name = convert::name(object.meta());
                    feed.removed(ObjectRef { kind: feed.kind(), name }).await?;
                }
                Some(Err(error)) => {
                    let code = code(&error);
                    if self.streams_lists && matches!(code, Some(400 | 422)) {
                        // The server knows no streamed lists after all.
                        self.streams_lists = false;
                        return Ok(End::Again);
                    }
                    let trouble = Trouble { code, message: error.to_string() };
                    let is_refusal = trouble.is_refusal();
                    feed.failed(trouble).await?;
                    self.pause(feed).await?;
                    // At the start of a watch this version would be asked for again and again.
                    let is_gone = matches!(error, watcher::Error::WatchStartFailed(_)) && code == Some(410);
                    // A watch that goes on where it was says nothing while nothing changes; a list says that it is allowed.
                    if is_gone || (is_refusal && feed.has_listed()) {
                        return Ok(End::Again);
                    }
                }
                None => {
                    self.pause(feed).await?;
                    return Ok(End::Again);
                }
            }
        }
    }

    async fn pause(&mut self, feed: &Feed) -> Result<(), Closed> {
        tokio::select! {
            () = sleep(self.pauses.after_failure(Instant::now())) => Ok(()),
            () = feed.closed() => Err(Closed),
        }
    }

    fn config(&self) -> watcher::Config {
        let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
        if !self.labels.is_empty() {
            config = config.labels(&self.labels);
        }
        if !self.fields.is_empty() {
            config = config.fields(&self.fields);
        }
        if self.streams_lists { config.streaming_lists() } else { config }
    }

    /// Whether the API server, asked once more, has no such object. A failure says nothing, and so is no.
    async fn is_empty(&self) -> bool {
        let parameters =
            ListParams { limit: Some(1), ..ListParams::default() }.labels(&self.labels).fields(&self.fields);
        self.api.list(&parameters).await.is_ok_and(|list| list.items.is_empty())
    }
}

/// The status with which the API server refused.
fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}
