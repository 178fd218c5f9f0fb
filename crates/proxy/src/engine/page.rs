//! Error pages: a request whose answer would be one of the statuses that another backend answers for goes on to that backend.

use std::sync::Arc;
use std::time::Duration;

use edgeward_routing::backend::Backend;
use edgeward_routing::decide::{Reason, RequestHead};
use edgeward_routing::error_request::ErrorRequest;
use edgeward_routing::policy::{BackendProtocol, BodySize, ErrorPages, Retry, Timeouts};
use edgeward_routing::route::Target;

use super::answer::DRAINED_BODY;
use super::context::RequestContext;
use crate::clock;

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Answerer {
    /// The backend of its route.
    #[default]
    Route,
    /// Another one, because that of the route has no endpoint.
    StandIn,
    /// The backend for error pages.
    Page(Page),
    /// Nobody, for there is no backend for error pages: the proxy answers 404 itself, as the built-in default backend of
    /// ingress-nginx does.
    Nobody,
}

/// An error page that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// The status that it stands for.
    pub(super) status: u16,
    /// Whether the backend is told whose request it was, which ingress-nginx does not know before its rewrite phase.
    pub(super) is_named: bool,
    /// Whether the backend gets the body.
    pub(super) has_body: bool,
    /// How large that may be.
    pub(super) body_size: BodySize,
}

impl Page {
    /// The page for an answer of the proxy's own to a request with a body of this declared length, where the route takes one of
    /// `body_size`. A larger one goes no further, unless it would be read over anyway because of its size.
    pub(super) fn instead_of(status: u16, reason: Reason, declared: Option<u64>, body_size: BodySize) -> Self {
        if reason == Reason::BodyTooLarge {
            let has_body = declared.is_some_and(|length| length <= DRAINED_BODY);
            return Self { status, is_named: false, has_body, body_size: BodySize(Some(DRAINED_BODY)) };
        }
        // What refuses for a host comes before the size is looked at.
        let has_body = declared.is_none_or(|length| body_size.allows(length));
        Self { status, is_named: true, has_body, body_size }
    }
}

/// Where to turn for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// To the backend that the context has now.
    Asked,
    /// To [nobody](Answerer::Nobody).
    NoBackend,
}

/// The target that a page is asked for with: the root, and the query of the request.
pub(super) fn target(head: &impl RequestHead) -> String {
    let query = head.target().split_once('?').map(|(_, query)| query);
    query.map_or_else(|| "/".to_owned(), |query| format!("/?{query}"))
}

impl RequestContext {
    /// The page that is asked for, if one is.
    pub(super) fn page(&self) -> Option<Page> {
        match self.answerer {
            Answerer::Page(page) => Some(page),
            Answerer::Route | Answerer::StandIn | Answerer::Nobody => None,
        }
    }

    /// Whether the client's body goes to the endpoint.
    pub(super) fn sends_body(&self) -> bool {
        self.page().is_none_or(|page| page.has_body)
    }

    fn pages(&self) -> Option<&ErrorPages> {
        match self.answerer {
            Answerer::Route | Answerer::StandIn => self.policies().error_pages.as_deref(),
            Answerer::Page(_) | Answerer::Nobody => None,
        }
    }

    /// Whether pages may take the place of answers, so that the body has to be kept for them.
    pub(super) fn has_pages(&self) -> bool {
        self.pages().is_some()
    }

    /// Whether a page takes the place of an endpoint's answer with this status.
    pub(super) fn intercepts(&self, status: u16) -> bool {
        self.pages().is_some_and(|pages| pages.intercepts && pages.has(status))
    }

    /// Whether a page takes the place of an answer of the proxy's own.
    pub(super) fn replaces(&self, status: u16, reason: Reason) -> bool {
        let Some(pages) = self.pages().filter(|pages| pages.has(status)) else { return false };
        match reason {
            // In ingress-nginx an endpoint of its own answers these.
            Reason::NoHost | Reason::NoRoute => pages.intercepts,
            // Closed is closed; and these come before there is a route, or to nobody.
            Reason::RouteClosed
            | Reason::BadHost
            | Reason::BadPath
            | Reason::BadMethod
            | Reason::MethodNotAllowed
            | Reason::BadRequest
            | Reason::UriTooLong
            | Reason::HeadersTooLarge
            | Reason::ClientTimeout
            | Reason::ClientClosed
            | Reason::Shutdown
            | Reason::Internal
            | Reason::Health => false,
            _ => true,
        }
    }

    /// Turns the request to the backend for error pages. Its tries begin anew.
    pub(super) fn turn_to(&mut self, page: Page, head: &impl RequestHead) -> Turn {
        let Some(backend) = self.page_backend() else {
            self.answerer = Answerer::Nobody;
            return Turn::NoBackend;
        };
        self.end_try(clock::now());
        self.answerer = Answerer::Page(page);
        self.upgrade = None;
        self.request_body_bytes = 0;
        self.begin_tries_anew();
        self.send_to(backend, head);
        Turn::Asked
    }

    fn page_backend(&self) -> Option<Arc<Backend>> {
        let backends = &self.snapshot.backends;
        let is_default = self.route.as_ref().is_some_and(|route| route.target == Target::Default);
        let own = self.pages()?.backend.as_ref().filter(|_| !is_default).and_then(|key| backends.by_key(key));
        let own = own.filter(|backend| !backend.endpoints.is_empty());
        let default = || self.snapshot.default_backend.and_then(|id| backends.by_id(id));
        own.or_else(default).filter(|backend| !backend.endpoints.is_empty()).cloned()
    }

    /// What the backend learns of the status that it answers for.
    pub(super) fn error_request(&self) -> ErrorRequest<'_> {
        let (status, is_named) = self.page().map_or((503, true), |page| (page.status, page.is_named));
        ErrorRequest::of(status, self.route.as_deref().filter(|_| is_named), &self.snapshot)
    }

    /// What is spoken to the endpoint: error pages are always asked for in HTTP.
    pub(super) fn protocol(&self) -> BackendProtocol {
        if self.page().is_some() { BackendProtocol::Http } else { self.policies().protocol }
    }

    /// How long the endpoint may take.
    pub(super) fn timeouts(&self) -> Timeouts {
        if self.page().is_some() { Timeouts::default() } else { self.policies().timeouts }
    }

    /// When another endpoint is tried.
    pub(super) fn retry(&self) -> Retry {
        if self.page().is_some() { Retry::default() } else { self.policies().retry }
    }

    /// How large a body may be that goes to the endpoint.
    pub(super) fn body_size(&self) -> BodySize {
        self.page().map_or(self.policies().body_size, |page| page.body_size)
    }

    /// Time since the first try at an endpoint of the backend.
    pub(super) fn since_first_try(&self) -> Duration {
        self.first_try.map_or(Duration::ZERO, |first| clock::now() - first)
    }
}
