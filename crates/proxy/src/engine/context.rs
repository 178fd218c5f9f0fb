//! What an engine keeps of one request from its head to its end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use edgeward_routing::Snapshot;
use edgeward_routing::affinity::Affinity;
use edgeward_routing::backend::{Backend, LoadBalance};
use edgeward_routing::balance;
use edgeward_routing::decide::{Action, Decision, Downstream, Reason, RequestHead};
use edgeward_routing::endpoint::{Endpoint, InFlight};
use edgeward_routing::forward::{Edit, Forwarded};
use edgeward_routing::policy::limits::{Over, UnderWay};
use edgeward_routing::policy::{Fault, Policies};
use edgeward_routing::respond::ResponseEdits;
use edgeward_routing::route::{Route, Target};
use edgeward_routing::settings::{ClientLimits, Compressed};
use http::HeaderValue;
use smallvec::SmallVec;

use super::auth::Admission;
use super::compressor::Compressor;
use super::page::Answerer;
use super::{Shared, failure};
use crate::clock;
use crate::connection::Connection;
use crate::metrics::Metrics;
use crate::record::{self, Request, RequestRecord, Response, Try};
use crate::ring;
use crate::session::{self, Choice};
use crate::subrequest::MirroredRequest;
use crate::trace::{RequestTrace, span};

/// The state of one request. It holds the snapshot that the request began with to its end.
pub(super) struct RequestContext {
    pub(super) started: SystemTime,
    pub(super) clock: Instant,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) connection: Option<Arc<Connection>>,
    pub(super) downstream: Downstream,
    /// The route that the decision named.
    pub(super) route: Option<Arc<Route>>,
    /// Who asks for what, once that is decided.
    pub(super) forwarded: Option<Forwarded>,
    /// The target that the endpoint gets, where it is not the client's.
    pub(super) target: Option<Box<str>>,
    /// What its response says beside what the endpoint says.
    pub(super) response: ResponseEdits,
    /// Whether the client has to say who it is first.
    pub(super) asks_who: bool,
    /// What was found out about the client.
    pub(super) admission: Option<Box<Admission>>,
    /// The protocol that the connection is to change to, if the endpoint agrees.
    pub(super) upgrade: Option<HeaderValue>,
    pub(super) backend: Option<Arc<Backend>>,
    pub(super) answerer: Answerer,
    /// The copy of the request, until it is sent or handed on.
    pub(super) mirrored: Option<Box<MirroredRequest>>,
    pub(super) request_id: RequestId,
    /// Its place in a trace, if its route is traced.
    pub(super) trace: Option<Box<RequestTrace>>,
    pub(super) request_body_bytes: u64,
    /// What compresses the body of its response, where a hook passes that on.
    pub(super) compressor: Option<Compressor>,
    /// Bytes of the body of a response that is held back.
    pub(super) response_body_bytes: u64,
    pub(super) reason: Option<Reason>,
    pub(super) tries: SmallVec<[Try; 1]>,
    /// Whether the limits of its route count it, which they have not yet.
    is_to_be_counted: bool,
    /// Its place among the requests that its client has under way.
    under_way: Option<UnderWay>,
    /// What picks the endpoint, where a hash or a session does.
    key: Option<Vec<u8>>,
    tried: Vec<SocketAddr>,
    /// Tries of backends before this one.
    tries_before: usize,
    /// When the first try began.
    pub(super) first_try: Option<Instant>,
    current: Option<CurrentTry>,
}

/// Whose fault it is that nothing more came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The endpoint's.
    Endpoint,
    /// Nobody's: there was nothing to say, in a stream of events or a call that is still open.
    Nobody,
}

/// The try that is under way.
struct CurrentTry {
    address: SocketAddr,
    /// The endpoint's state, which counts the request.
    endpoint: InFlight,
    began: Instant,
}

impl RequestContext {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            started: clock::calendar(),
            clock: clock::now(),
            snapshot,
            connection: None,
            downstream: Downstream { client: IpAddr::V4(Ipv4Addr::UNSPECIFIED), tls: false, port: 0 },
            route: None,
            forwarded: None,
            target: None,
            response: ResponseEdits::default(),
            asks_who: false,
            admission: None,
            upgrade: None,
            backend: None,
            answerer: Answerer::Route,
            mirrored: None,
            request_id: RequestId::default(),
            trace: None,
            request_body_bytes: 0,
            compressor: None,
            response_body_bytes: 0,
            reason: None,
            tries: SmallVec::new(),
            is_to_be_counted: false,
            under_way: None,
            key: None,
            tried: Vec::new(),
            tries_before: 0,
            first_try: None,
            current: None,
        }
    }

    pub(super) fn policies(&self) -> &Policies {
        self.route.as_ref().map_or(&self.snapshot.settings.default_policies, |route| &route.policies)
    }

    /// Whether a body without a length is read before an endpoint is chosen, where that is possible: an endpoint in HTTP/2 has no
    /// need for its length, and a call of gRPC may go on for as long as it likes.
    pub(super) fn collects_body(&self) -> bool {
        let policies = self.policies();
        !policies.streams_request && !policies.protocol.is_http2()
    }

    /// What its client may take.
    pub(super) fn limits(&self) -> &ClientLimits {
        &self.connection.as_ref().map_or(&self.snapshot.settings, |connection| &connection.settings).limits
    }

    /// Learns of the connection that the request came on.
    pub(super) fn came_from(&mut self, downstream: Downstream) {
        self.downstream = downstream;
        self.response = ResponseEdits { hsts: downstream.tls, ..ResponseEdits::default() };
    }

    /// Keeps what was decided, and gives what to do.
    pub(super) fn take(&mut self, decision: Decision) -> Action {
        self.route = decision.route;
        self.forwarded = decision.forwarded;
        self.target = decision.target;
        self.response = decision.response;
        self.is_to_be_counted = decision.is_counted;
        self.asks_who = decision.asks_who;
        if decision.is_stand_in {
            self.answerer = Answerer::StandIn;
        }
        decision.action
    }

    /// Begins the span of the request, if its route is traced. It is for the engine that serves the request.
    pub(super) fn trace(&mut self, head: &impl RequestHead, action: &Action) {
        let Some(policy) = &self.policies().trace else { return };
        // Probes come every other second, and say nothing.
        if !matches!(action, Action::Respond { reason: Reason::Health, .. }) {
            self.trace = Some(Box::new(RequestTrace::begin(policy, &self.snapshot.settings.trace.sampler, head)));
        }
    }

    /// Has the limits of the route count the request, once whatever comes; over one of them, another answer takes the
    /// place of what was decided. It is for the engine that serves the request: one that hands it on leaves it uncounted.
    pub(super) fn count(&mut self, action: Action, head: &impl RequestHead) -> Action {
        let limits = self.policies().limits.clone().filter(|_| std::mem::take(&mut self.is_to_be_counted));
        let (Some(limits), Some(forwarded)) = (limits, &self.forwarded) else { return action };
        let settings = &self.snapshot.settings;
        let counted = match &settings.limit_key {
            None => limits.admit(forwarded.client, since_origin()),
            Some(key) => {
                let mut name = Vec::new();
                key.write(forwarded, head, "", &mut name);
                limits.admit_named(forwarded.client, &name, since_origin())
            }
        };
        let (status, reason) = match counted {
            Ok(under_way) => {
                self.under_way = under_way;
                return action;
            }
            Err(Over::Rate) => (settings.rate_status, Reason::RateLimited),
            Err(Over::Connections) => (settings.connections_status, Reason::ConnectionsLimited),
        };
        self.asks_who = false;
        Action::Respond { status, reason }
    }

    /// Tells `edit` what to change in a response with this status on its way to the client.
    pub(super) fn edit_response<'a>(&'a self, status: u16, mut edit: impl FnMut(Edit<'a, '_>)) {
        self.response.apply(&self.snapshot.settings, self.policies(), &mut edit);
        if let Some(admission) = &self.admission {
            admission.edit_response(status, edit);
        }
    }

    /// What compression comes to for a response with this status, whose header fields `values` gives by name.
    pub(super) fn compressed<'v, V: Iterator<Item = &'v [u8]>>(
        &self,
        request: &impl RequestHead,
        status: u16,
        values: impl Fn(&'static str) -> V,
    ) -> Compressed {
        match &self.snapshot.settings.compression {
            Some(compression) => compression.of(request, status, values),
            None => Compressed::default(),
        }
    }

    /// How long a tunnel may be silent in both directions.
    pub(super) fn tunnel_idle(&self, shared: &Shared) -> Duration {
        let policies = self.policies();
        policies.tunnel_idle.unwrap_or_else(|| shared.options.upgraded_idle.max(policies.timeouts.read))
    }

    /// Takes the backend that the decision named, and works out the key that its balancing asks for.
    pub(super) fn send_to(&mut self, backend: Arc<Backend>, head: &impl RequestHead) {
        if let Some(affinity) = &backend.affinity {
            self.key = affinity.key(head).map(<[u8]>::to_vec);
        } else if let (Some(template), Some(forwarded)) = (backend.load_balance.hashed(), &self.forwarded) {
            template.write(forwarded, head, self.request_id.as_str(), self.key.insert(Vec::new()));
        }
        self.backend = Some(backend);
    }

    /// Picks an endpoint: that of the client's session, else one that this request has not tried yet, while there is one.
    pub(super) fn pick_endpoint(&mut self, head: &impl RequestHead) -> Option<Endpoint> {
        let backend = self.backend.as_deref()?;
        let ejection = &self.snapshot.settings.ejection;
        let key = self.key.as_deref();
        if let Some(affinity) = &backend.affinity {
            let Choice { index, key } = session::pick(backend, affinity, key, &self.tried)?;
            let endpoint = backend.endpoints.get(index).cloned();
            self.response.session = key.and_then(|key| self.session_cookie(affinity, &key, head));
            return endpoint;
        }
        let key = key.unwrap_or_default();
        let index = match &backend.load_balance {
            LoadBalance::ConsistentHash(_) => {
                let mut ring = ring::endpoints_for(backend, key);
                balance::pick(backend, ejection, &self.tried, Some(&mut ring))
            }
            LoadBalance::SubsetHash(_, size) => {
                let mut ring = ring::grouped_endpoints_for(backend, *size, key);
                balance::pick(backend, ejection, &self.tried, Some(&mut ring))
            }
            LoadBalance::RoundRobin | LoadBalance::LeastRequest | LoadBalance::PeakEwma => {
                balance::pick(backend, ejection, &self.tried, None)
            }
        }?;
        backend.endpoints.get(index).cloned()
    }

    /// The cookie that gives the client a key, if its route hands them out.
    fn session_cookie(&self, affinity: &Affinity, key: &str, head: &impl RequestHead) -> Option<Vec<u8>> {
        let route = self.route.as_ref().filter(|route| route.policies.sets_session)?;
        let user_agent = head.header("user-agent");
        Some(affinity.set_cookie(key, route.path.as_str(), self.downstream.tls, user_agent, self.started))
    }

    /// Notes that the proxy answers by itself, and why. No session begins with that.
    pub(super) fn answer_for(&mut self, reason: Reason) {
        self.reason = Some(reason);
        self.response.session = None;
    }

    pub(super) fn begin_try(&mut self, endpoint: Endpoint, now: Instant) {
        self.end_try(now);
        // A body that was sent before is sent again from the start.
        self.request_body_bytes = 0;
        if let Some(copy) = &mut self.mirrored {
            copy.restart();
        }
        self.tries.push(Try {
            address: endpoint.addr,
            connect: None,
            header: None,
            total: Duration::ZERO,
            status: None,
            body_bytes: 0,
        });
        self.first_try.get_or_insert(now);
        self.current = Some(CurrentTry { address: endpoint.addr, endpoint: InFlight::new(endpoint.state), began: now });
    }

    pub(super) fn connected(&mut self, reused: bool) {
        if let (Some(current), Some(entry)) = (&self.current, self.tries.last_mut()) {
            entry.connect = Some(if reused { Duration::ZERO } else { clock::now() - current.began });
        }
    }

    pub(super) fn response_head(&mut self, status: u16) {
        if let (Some(current), Some(entry)) = (&self.current, self.tries.last_mut()) {
            entry.header = Some(clock::now() - current.began);
            entry.status = Some(status);
        }
    }

    /// The time since the endpoint of the try under way answered, if it has.
    pub(super) fn since_response(&self) -> Option<Duration> {
        let answered = self.tries.last()?.header?;
        self.current.as_ref()?.began.elapsed().checked_sub(answered)
    }

    /// Closes the try under way: nothing more comes of it. An endpoint that is to `blame` is a step nearer to its ejection.
    pub(super) fn fail_try(&mut self, reason: Reason, blame: Blame, metrics: &Metrics) {
        self.end_try(clock::now());
        let Some(current) = &self.current else { return };
        if let Some(entry) = self.tries.last_mut() {
            let timed_out = matches!(reason, Reason::ConnectTimeout | Reason::UpstreamTimeout);
            entry.status = entry.status.or(Some(if timed_out { 504 } else { 502 }));
        }
        self.tried.push(current.address);
        // Nobody is to stay with it.
        self.response.session = None;
        if blame == Blame::Endpoint
            && let Some(backend) = &self.backend
            && let Some(out) = balance::record_failure(backend, &current.endpoint, &self.snapshot.settings.ejection)
        {
            metrics.upstream_ejection();
            tracing::warn!(
                backend = %backend.name, endpoint = %current.address, seconds = out.as_secs_f64(),
                reason = %reason, "ejected a failing endpoint"
            );
        }
    }

    /// Forgets the tries so far, which were another backend's.
    pub(super) fn begin_tries_anew(&mut self) {
        self.tries_before = self.tries.len();
        self.first_try = None;
        self.tried.clear();
    }

    /// Passes over the try under way: its endpoint answered, but another one is to.
    pub(super) fn pass_over_try(&mut self) {
        self.end_try(clock::now());
        self.tried.extend(self.current.as_ref().map(|current| current.address));
    }

    /// Whether requests of this method may be sent to more than one endpoint.
    pub(super) fn is_repeatable(&self, method: &str) -> bool {
        failure::is_idempotent(method) || self.retry().on.has_non_idempotent()
    }

    /// Whether the request is sent once more after this fault, as far as the policy of its route and the retry budget go. One
    /// that `was_sent` may have had an effect.
    pub(super) fn may_retry(&self, shared: &Shared, fault: Fault, method: &str, was_sent: bool) -> bool {
        let retry = self.retry();
        retry.on.contains(fault)
            && (!was_sent || self.is_repeatable(method))
            && retry.has_try_left(self.tries.len() - self.tries_before, self.since_first_try())
            && shared.retries.withdraw()
    }

    /// Ends the request: tells balancing, metrics, access log and connection what became of it.
    pub(super) fn finish(&mut self, shared: &Shared, end: End<'_>) {
        let now = clock::now();
        self.end_try(now);
        self.under_way = None;
        if !end.failed
            && let Some(CurrentTry { endpoint, .. }) = &self.current
        {
            endpoint.record_success();
            if let Some(header) = self.tries.last().and_then(|current| current.header)
                && self.backend.as_ref().is_some_and(|backend| backend.load_balance == LoadBalance::PeakEwma)
            {
                balance::record_latency(endpoint, header);
            }
        }
        let record = self.record(&end, now - self.clock);
        shared.metrics.record(&record);
        if !self.policies().is_unlogged {
            shared.access_log.log(&record, &self.snapshot.settings.log);
        }
        if let Some(trace) = &self.trace
            && trace.is_sampled()
        {
            let operation = self.policies().trace.as_ref().and_then(|policy| policy.operation.as_ref());
            shared.spans.send(span(trace, operation, &record), &self.snapshot.settings.trace);
        }
        if let Some(connection) = &self.connection {
            connection.request_done();
        }
    }

    /// What there is to tell of the request.
    pub(super) fn record<'r>(&'r self, end: &End<'r>, duration: Duration) -> RequestRecord<'r> {
        RequestRecord {
            route: self.route.as_deref(),
            backend: self.backend.as_deref(),
            main: self.main(),
            connection: self.connection.as_deref(),
            client: self.forwarded.as_ref().map(|forwarded| forwarded.client).or(Some(self.downstream.client)),
            forwarded: self.forwarded.as_ref(),
            request: end.request,
            response: end.response,
            status: end.status,
            reason: self.reason,
            started: self.started,
            duration,
            request_length: end.request_length,
            body_bytes_sent: end.body_bytes_sent,
            tries: &self.tries,
            trace: self.trace.as_deref(),
            request_id: self.request_id.as_str(),
        }
    }

    /// The backend that the route names.
    pub(super) fn named(&self) -> Option<&Arc<Backend>> {
        let Target::Backend(id) = self.route.as_ref()?.target else { return None };
        self.snapshot.backends.by_id(id)
    }

    /// The same, where its canary has the request.
    fn main(&self) -> Option<&Backend> {
        let main = self.named()?;
        self.backend.as_ref().filter(|backend| !Arc::ptr_eq(backend, main)).map(|_| &**main)
    }

    /// Notes how long the try under way has taken.
    pub(super) fn end_try(&mut self, now: Instant) {
        if let (Some(current), Some(entry)) = (&self.current, self.tries.last_mut())
            && entry.total.is_zero()
        {
            entry.total = now - current.began;
        }
    }
}

/// The time since one point in the past, which is the same for the whole process.
fn since_origin() -> Duration {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    ORIGIN.elapsed()
}

/// What became of a request.
pub(super) struct End<'a> {
    pub(super) request: Request<'a>,
    /// The response as sent, if one was.
    pub(super) response: Option<Response<'a>>,
    /// The status sent, or 499.
    pub(super) status: u16,
    /// Whether something went wrong on the way.
    pub(super) failed: bool,
    pub(super) request_length: u64,
    pub(super) body_bytes_sent: u64,
}

/// The request's identity: the client's `X-Request-ID`, or 32 hexadecimal digits; empty where it has none.
#[derive(Default)]
pub(super) struct RequestId(String);

impl RequestId {
    /// Longer ones than this are replaced: they go into every log line.
    const LONGEST: usize = 256;

    /// That of the client, or a new one if requests without one are to have one.
    pub(super) fn set(&mut self, head: Option<&impl RequestHead>, is_made: bool) {
        // Visible ASCII and blanks: it goes into other heads.
        let is_text = |id: &&[u8]| id.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        let sent =
            head.and_then(|head| head.header("x-request-id")).filter(|id| !id.is_empty() && id.len() <= Self::LONGEST);
        self.0 = match sent.filter(is_text).and_then(|id| std::str::from_utf8(id).ok()) {
            Some(id) => id.to_owned(),
            None if is_made => record::new_request_id(),
            None => String::new(),
        };
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
