//! A service that is asked whether a request may pass.

use std::net::SocketAddr;
use std::time::Instant;

use aws_lc_rs::hmac;
use bytes::Bytes;
use edgeward_routing::decide::{Reason, RequestHead};
use edgeward_routing::forward::{Edit, Forwarded, edit_upstream_headers, folded};
use edgeward_routing::policy::ExternalAuth;
use edgeward_routing::policy::external_auth::{AnswerField, AuthScheme, AuthUrl};
use edgeward_routing::template::Template;
use http::header::{CACHE_CONTROL, EXPIRES, SET_COOKIE, VARY, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::connect::HttpInfo;
use tokio::time::timeout;

use super::answers::{Answers, KeptAnswer};
use super::client::Client;
use super::kept;
use super::subrequest::{Begun, Subrequest};
use super::{Admission, AuthShared, Verdict, When};
use crate::engine::context::RequestContext;

/// Fields of the client's request that the service does not get: they are between the client and this proxy, belong to the
/// body, or are this proxy's to say.
const NOT_PASSED: [&str; 25] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "http2-settings",
    "expect",
    "cookie",
    "x-request-id",
    "x-forwarded-proto",
    "x-forwarded-for",
    "x-real-ip",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-sent-from",
    "x-auth-request-redirect",
    "x-scheme",
];

/// What a service has said, as far as it matters.
struct Answer {
    status: u16,
    fields: HeaderMap,
    /// Where it is, if it was asked for this answer.
    service: Option<SocketAddr>,
}

/// The status that nginx has for a service that says nothing that can be understood.
struct Unanswered(u16);

/// The request that is being decided.
pub(super) struct Asked<'r, H> {
    pub(super) auth: &'r ExternalAuth,
    pub(super) forwarded: &'r Forwarded,
    pub(super) ctx: &'r RequestContext,
    pub(super) head: &'r H,
}

impl<H: RequestHead + Sync> Asked<'_, H> {
    /// Asks the service, and adds what it says to what is known of the client.
    ///
    /// # Errors
    ///
    /// What the client gets instead, when it may not pass.
    pub(super) async fn ask(
        &self,
        client: Option<&Client>,
        shared: &AuthShared,
        admission: &mut Admission,
    ) -> Result<(), Verdict> {
        let cache = shared.key.as_ref().zip(self.auth.cache.as_ref());
        let key = cache.map(|(secret, cache)| self.key(secret, &self.text(&cache.key)));
        let kept = key.as_ref().and_then(|key| shared.answers.find(key));
        let begun = self.ctx.snapshot.settings.log.has_auth.then(Begun::now);
        let answer = match kept {
            Some(kept) => Ok(Answer { status: kept.status, fields: kept.fields.clone(), service: None }),
            None => {
                let answer = self.answer(client).await;
                if let (Some(key), Ok(answer)) = (key, &answer) {
                    self.keep(&shared.answers, key, answer);
                }
                answer
            }
        };
        let asked = begun.map(|begun| {
            Box::new(match &answer {
                Ok(answer) => Subrequest::answered(begun, answer.status, &answer.fields, answer.service),
                Err(Unanswered(status)) => Subrequest::failed(begun, *status),
            })
        });
        let mut verdict = match answer {
            Ok(answer) => self.judge(&answer, admission),
            Err(_) => Err(refusal(500, Reason::AuthFailed, Admission::default())),
        };
        match &mut verdict {
            Err(Verdict::Refuse { admission, .. } | Verdict::Pass(admission)) => admission.asked = asked,
            Ok(()) => admission.asked = asked,
        }
        verdict
    }

    fn text(&self, template: &Template) -> Vec<u8> {
        let mut text = Vec::new();
        template.write(self.forwarded, self.head, self.ctx.request_id.as_str(), &mut text);
        text
    }

    fn field_value(&self, template: &Template) -> Vec<u8> {
        template.field_value(self.forwarded, self.head, self.ctx.request_id.as_str())
    }

    /// What the service says in time.
    async fn answer(&self, client: Option<&Client>) -> Result<Answer, Unanswered> {
        let (Some(request), Some(client)) = (self.request(), client) else { return Err(Unanswered(500)) };
        let time = self.ctx.policies().timeouts;
        let answer = timeout(time.connect + time.read, client.ask(request)).await;
        let answer = answer.map_err(|_| Unanswered(504))?.ok_or(Unanswered(502))?;
        let service = answer.extensions.get::<HttpInfo>().map(HttpInfo::remote_addr);
        Ok(Answer { status: answer.status.as_u16(), fields: answer.headers, service })
    }

    fn request(&self) -> Option<Request<Empty<Bytes>>> {
        let AuthUrl { scheme, host, port, path } = &self.auth.url;
        let scheme = match scheme {
            AuthScheme::Http => "http",
            AuthScheme::Https => "https",
            AuthScheme::Unknown => return None,
        };
        let host = String::from_utf8(self.text(host)).ok()?;
        let authority = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let path = self.text(path);
        let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
        let path = [slash, &path].concat();
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        *request.method_mut() = match &self.auth.method {
            Some(method) => Method::from_bytes(method.as_bytes()).ok()?,
            None => Method::GET,
        };
        *request.headers_mut() = self.fields(host.as_bytes())?;
        Some(request)
    }

    /// What the service is told: what the client says, and who it is (nginx.tmpl, the location of `auth_request`).
    fn fields(&self, host: &[u8]) -> Option<HeaderMap> {
        let Self { auth, forwarded, ctx, head } = self;
        let settings = &ctx.snapshot.settings;
        let passing = ctx.passing(*head);
        let is_passed = |name: &[u8]| {
            let plain = folded(name);
            passing.lets(name)
                && !NOT_PASSED.iter().any(|own| own.as_bytes() == plain)
                && !auth.set_headers.iter().any(|(own, _)| folded(own.as_bytes()) == plain)
        };
        let mut fields = HeaderMap::with_capacity(24);
        for (name, value) in head.headers() {
            let name = HeaderName::from_bytes(name).ok()?;
            if is_passed(name.as_str().as_bytes()) {
                fields.append(name, HeaderValue::from_bytes(value).ok()?);
            }
        }
        let mut set = |name: &str, value: &[u8]| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            if value.is_empty() {
                fields.remove(name);
            } else {
                fields.insert(name, HeaderValue::from_bytes(value).ok()?);
            }
            Some(())
        };
        let cookies: Vec<_> = head.header_values("cookie").collect();
        set("cookie", &cookies.join(&b"; "[..]))?;
        let mut is_set = true;
        let mut take = |edit: Edit<'_, '_>| {
            is_set &= match edit {
                Edit::Set(name, value) | Edit::Append(name, value) => set(name, value).is_some(),
                Edit::Remove(name) => set(name, b"").is_some(),
            };
        };
        let request_id = ctx.request_id.as_str().as_bytes();
        edit_upstream_headers(forwarded, *head, settings, ctx.downstream.client, request_id, |edit| {
            if let Edit::Set("x-request-id" | "x-real-ip" | "x-forwarded-for", _) = edit {
                take(edit);
            }
        });
        if let Some(trace) = &ctx.trace {
            trace.edit_request(&mut take);
        }
        ctx.edit_certificate(take);
        if !is_set {
            return None;
        }
        let target = head.target().as_bytes();
        let scheme: &[u8] = if ctx.downstream.tls { b"https://" } else { b"http://" };
        let authority = head.authority().unwrap_or_default().as_bytes();
        let is_origin_form = target.starts_with(b"/");
        // An absolute-form target is the whole of it.
        set("x-original-url", &if is_origin_form { [scheme, authority, target].concat() } else { target.to_vec() })?;
        set("x-original-method", head.method().as_bytes())?;
        set("x-sent-from", b"nginx-ingress-controller")?;
        let redirect = auth.request_redirect.as_ref().map(|redirect| self.field_value(redirect));
        set("x-auth-request-redirect", redirect.as_deref().unwrap_or(target))?;
        if auth.method.is_some() {
            set("x-original-uri", target)?;
            set("x-scheme", &forwarded.scheme)?;
        }
        set("host", host)?;
        for (name, value) in &auth.set_headers {
            set(name, &self.field_value(value))?;
        }
        Some(fields)
    }

    /// What an answer means for the request.
    fn judge(&self, answer: &Answer, admission: &mut Admission) -> Result<(), Verdict> {
        let cookies = answer.fields.get_all(SET_COOKIE).iter().cloned();
        let challenge = answer.fields.get_all(WWW_AUTHENTICATE).iter().cloned();
        let when = if self.auth.always_set_cookie { When::Always } else { When::NoError };
        if (200..300).contains(&answer.status) {
            admission.response.extend(cookies.map(|cookie| (SET_COOKIE, cookie, when)));
            let given = self.auth.response_headers.iter();
            let given = given.filter_map(|field| Some((field.name.clone(), value_of(&answer.fields, field)?)));
            admission.request.extend(given);
            return Ok(());
        }
        let mut refused = Admission::default();
        match answer.status {
            401 => {
                refused.response.extend(challenge.map(|value| (WWW_AUTHENTICATE, value, When::Always)));
                if let Some(location) = self.ctx.sign_in_location(self.head) {
                    refused.response.extend(cookies.map(|cookie| (SET_COOKIE, cookie, When::Always)));
                    return Err(sign_in_at(location, refused));
                }
                refused.response.extend(cookies.map(|cookie| (SET_COOKIE, cookie, when)));
                Err(refusal(401, Reason::Unauthorized, refused))
            }
            status => {
                refused.response.extend(cookies.map(|cookie| (SET_COOKIE, cookie, when)));
                Err(match status {
                    403 => refusal(403, Reason::Forbidden, refused),
                    _ => refusal(500, Reason::AuthFailed, refused),
                })
            }
        }
    }

    /// What an answer is kept by: route, service, what is read of it, and what the configuration names.
    fn key(&self, key: &hmac::Key, named: &[u8]) -> kept::Key {
        let AuthUrl { scheme, host, port, path } = &self.auth.url;
        let route = self.ctx.route.as_ref().map(|route| format!("{} {}", route.host, route.path)).unwrap_or_default();
        let service = format!("{:?} {scheme:?} {host} {port:?} {path}", self.auth.method);
        let read: Vec<&str> = self.auth.response_headers.iter().map(|field| &*field.name).collect();
        let read = read.join(",");
        kept::key(key, |add| [route.as_bytes(), service.as_bytes(), read.as_bytes(), named].into_iter().for_each(add))
    }

    /// Keeps an answer for as long as configuration and answer allow. What is meant for one client alone is not kept.
    fn keep(&self, answers: &Answers, key: kept::Key, answer: &Answer) {
        let Some(time) = self.auth.cache.as_ref().and_then(|cache| cache.time(answer.status)) else { return };
        let is_for_one = [SET_COOKIE, VARY, EXPIRES].iter().any(|name| answer.fields.contains_key(name))
            || answer.fields.get(CACHE_CONTROL).is_some_and(|control| control != "public");
        if is_for_one {
            return;
        }
        let mut fields = HeaderMap::new();
        let is_read = |name: &HeaderName| {
            *name == WWW_AUTHENTICATE || self.auth.response_headers.iter().any(|wanted| wanted.has_name(name.as_ref()))
        };
        for (name, value) in answer.fields.iter().filter(|(name, _)| is_read(name)) {
            fields.append(name.clone(), value.clone());
        }
        answers.insert(key, KeptAnswer { until: Instant::now() + time, status: answer.status, fields });
    }
}

/// Sends a client to where it can say who it is.
pub(super) fn sign_in_at(location: String, admission: Admission) -> Verdict {
    Verdict::Refuse { status: 302, location: Some(location), reason: Reason::SignIn, admission }
}

fn refusal(status: u16, reason: Reason, admission: Admission) -> Verdict {
    Verdict::Refuse { status, location: None, reason, admission }
}

/// The values of a field as one; `None` for none.
fn value_of(fields: &HeaderMap, wanted: &AnswerField) -> Option<HeaderValue> {
    let values = fields.iter().filter(|(name, _)| wanted.has_name(name.as_ref())).map(|(_, value)| value.as_bytes());
    let joined = values.collect::<Vec<_>>().join(&b", "[..]);
    HeaderValue::from_bytes(&joined).ok().filter(|value| !value.is_empty())
}
