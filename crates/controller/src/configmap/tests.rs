#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use edgeward_routing::backend::LoadBalance;
use edgeward_routing::forward::FieldNames;
use edgeward_routing::log_format::{Escape, Piece, Variable};
use edgeward_routing::path::TrailingSlash;
use edgeward_routing::policy::{BodySize, Faults, Policies, RedirectStyle, SslRedirect};
use edgeward_routing::settings::{Cipher, MediaTypes, Sampled, Settings, Terms, TlsVersion};
use proptest::prelude::*;

use super::{Configuration, read, table};
use crate::annotation::{IngressSettings, Risk, Status};
use crate::change::Change;
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::{Kind, Object};
use crate::translate::fixture::{config_map, name};
use crate::translate::{Compatibility, Options, policy};

fn read_with(compatibility: Compatibility, data: &[(&str, &str)]) -> (Configuration, Vec<Diagnostic>) {
    let options = Options { configmap: Some(name("options")), compatibility, ..Options::default() };
    let mut diagnostics = Vec::new();
    let configuration = read(&Index::of([config_map("options", data)]), &options, &mut diagnostics);
    (configuration, diagnostics)
}

fn read_data(data: &[(&str, &str)]) -> (Configuration, Vec<Diagnostic>) {
    read_with(Compatibility::IngressNginx, data)
}

mod reference;

type Check = (&'static str, &'static str, fn(&Configuration) -> bool);

const GOOD: &[Check] = &[
    ("ssl-redirect", "false", |c| !c.ssl_redirect),
    ("ssl-redirect", "", |c| !c.ssl_redirect),
    ("force-ssl-redirect", "true", |c| c.force_ssl_redirect),
    ("hsts", "false", |c| c.settings.hsts.is_none()),
    ("hsts-max-age", "60", |c| c.settings.hsts.as_deref() == Some("max-age=60; includeSubDomains")),
    ("hsts-include-subdomains", "false", |c| c.settings.hsts.as_deref() == Some("max-age=31536000")),
    ("hsts-preload", "true", |c| c.settings.hsts.as_ref().unwrap().ends_with("; includeSubDomains; preload")),
    ("http-redirect-code", "301", |c| c.settings.redirect_status == 301),
    ("no-auth-locations", "/a, /b,", |c| c.no_auth == ["/a", "/b"]),
    ("allow-cross-namespace-resources", "true", |c| c.allow_cross_namespace),
    ("no-tls-redirect-locations", "/a, /b,", |c| c.no_tls_redirect == ["/a", "/b"]),
    ("no-tls-redirect-locations", "", |c| c.no_tls_redirect.is_empty()),
    ("use-forwarded-headers", "true", |c| c.settings.use_forwarded_headers),
    ("enable-real-ip", "true", |c| c.settings.enable_real_ip),
    ("compute-full-forwarded-for", "true", |c| c.settings.compute_full_forwarded_for),
    ("forwarded-for-header", "X-Real-IP", |c| &*c.settings.forwarded_for == "x-real-ip"),
    ("proxy-real-ip-cidr", "10.0.0.0/8, 2001:db8::/32,192.0.2.1", |c| {
        c.settings.trusted.len() == 3 && c.settings.trusts("192.0.2.1".parse().unwrap())
    }),
    ("add-headers", "ops/headers", |c| c.add_headers.as_ref().unwrap().to_string() == "ops/headers"),
    ("proxy-set-headers", "ops/headers", |c| c.set_headers.as_ref().unwrap().to_string() == "ops/headers"),
    ("allow-backend-server-header", "true", |c| c.settings.passes_server),
    ("disable-access-log", "true", |c| c.is_log_off && c.settings.default_policies.is_unlogged),
    ("disable-http-access-log", "true", |c| c.is_log_off),
    ("global-allowed-response-headers", "X-A, x-b,", |c| {
        c.allowed_response_headers.iter().map(|name| &**name).eq(["X-A", "x-b"])
    }),
    ("hide-headers", "X-Powered-By,X-B", |c| {
        c.settings.hidden_headers.iter().map(|name| &**name).eq(["x-powered-by", "x-b"])
    }),
    ("limit-rate", "10", |c| c.rate == 10_240),
    ("limit-rate-after", "1", |c| c.rate_after == 1024),
    ("proxy-cookie-domain", "a.test b.test", |c| c.cookie_domain.is_some()),
    ("proxy-cookie-path", "~*^/x(.*)$ /y$1", |c| c.cookie_path.is_some()),
    ("proxy-cookie-path", "off", |c| c.cookie_path.is_none()),
    ("proxy-redirect-from", "http://a.test/", |c| &*c.redirect_from == "http://a.test/"),
    ("proxy-redirect-to", "/$1", |c| &*c.redirect_to == "/$1"),
    ("proxy-request-buffering", "off", |c| c.streams_request),
    ("proxy-body-size", "8m", |c| c.body_size == BodySize(Some(8 << 20))),
    ("proxy-connect-timeout", "1", |c| c.timeouts.connect == Duration::from_secs(1)),
    ("proxy-read-timeout", "2", |c| c.timeouts.read == Duration::from_secs(2)),
    ("proxy-send-timeout", "3", |c| c.timeouts.send == Duration::from_secs(3)),
    ("load-balance", "ewma", |c| c.load_balance == LoadBalance::PeakEwma),
    ("service-upstream", "true", |c| c.service_upstream),
    ("whitelist-source-range", "10.0.0.0/8, ::1", |c| c.allowed.as_ref().unwrap().to_string() == "10.0.0.0/8,::1/128"),
    ("denylist-source-range", "all,", |c| c.denied.as_ref().unwrap().to_string() == "0.0.0.0/0,::/0"),
    ("whitelist-source-range", "", |c| c.allowed.is_none()),
    ("block-cidrs", "192.0.2.1", |c| c.settings.block.as_ref().unwrap().networks.to_string() == "192.0.2.1/32"),
    ("block-cidrs", " ", |c| c.settings.block.is_none()),
    ("block-user-agents", "~*bot,\"~a b{2}\", 'curl'", |c| c.settings.block.as_ref().unwrap().user_agents.len() == 3),
    ("block-referers", "~*evil", |c| c.settings.block.as_ref().unwrap().referers.len() == 1),
    ("limit-conn-zone-variable", "$binary_remote_addr", |c| c.settings.limit_key.is_none()),
    ("limit-conn-zone-variable", "$http_x_key$arg_b", |c| c.settings.limit_key.as_ref().unwrap().parts.len() == 2),
    ("limit-req-status-code", "429", |c| (c.settings.rate_status, c.settings.connections_status) == (429, 503)),
    ("limit-conn-status-code", "429", |c| (c.settings.rate_status, c.settings.connections_status) == (503, 429)),
    ("custom-http-errors", "503, 404,404", |c| c.error_statuses == [404, 503]),
    ("disable-proxy-intercept-errors", "true", |c| c.keeps_answers),
    ("proxy-http-version", "1.0", |c| c.is_http10),
    ("proxy-next-upstream", "http_500 off", |c| Some(c.retry.on) == Faults::parse("off")),
    ("proxy-next-upstream-timeout", "3", |c| c.retry.seconds == 3),
    ("proxy-next-upstream-tries", "1", |c| c.retry.tries == 1),
    ("proxy-next-upstream-tries", "0", |c| c.retry.tries == 100),
    ("proxy-ssl-location-only", "true", |c| c.upstream_tls_of_routes_only),
    ("retry-non-idempotent", "true", |c| c.settings.default_policies.retry.on.has_non_idempotent()),
    ("keep-alive", "30", |c| c.settings.limits.keepalive_idle == Duration::from_secs(30)),
    ("keep-alive", "0", |c| c.settings.limits.is_used_up(1)),
    ("keep-alive-requests", "5", |c| c.settings.limits.keepalive_requests == 5),
    ("keep-alive-requests", "0", |c| c.settings.limits.keepalive_requests == 1),
    ("client-header-timeout", "3", |c| c.settings.limits.header_timeout == Duration::from_secs(3)),
    ("client-body-timeout", "4", |c| c.settings.limits.body_timeout == Duration::from_secs(4)),
    ("large-client-header-buffers", "4 16k", |c| {
        let limits = &c.settings.limits;
        (limits.uri_bytes, limits.line_bytes, limits.header_bytes) == (16 << 10, 16 << 10, 64 << 10)
    }),
    ("http2-max-concurrent-streams", "5", |c| c.settings.limits.h2_streams == 5),
    ("use-http2", "false", |c| !c.settings.tls.http2),
    ("use-proxy-protocol", "true", |c| c.settings.proxy_protocol.enabled),
    ("proxy-protocol-header-timeout", "500ms", |c| c.settings.proxy_protocol.timeout == Duration::from_millis(500)),
    ("ssl-protocols", "TLSv1.3", |c| c.settings.tls.min_version == TlsVersion::V1_3),
    ("ssl-protocols", "TLSv1.2", |c| c.settings.tls.max_version == TlsVersion::V1_2),
    ("ssl-ciphers", "ECDHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256:!aNULL", |c| {
        c.settings.tls.ciphers.as_deref() == Some(&[Cipher::RsaAes128])
    }),
    ("ssl-ciphers", "ALL:!CHACHA20:!AES128", |c| {
        c.settings.tls.ciphers.as_deref() == Some(&[Cipher::EcdsaAes256, Cipher::RsaAes256])
    }),
    ("ssl-ciphers", "EECDH+aRSA+AESGCM:!AES128:!RSA:!kRSA:!DHE-RSA-AES256-SHA256:!EDH-RSA-DES-CBC3-SHA", |c| {
        c.settings.tls.ciphers.as_deref() == Some(&[Cipher::RsaAes256])
    }),
    ("ssl-ciphers", "HIGH:!ECDSA:!aNULL:!MD5:!RC4:!3DES:!DES:!EXPORT:!eNULL:!LOW:!PSK:!SRP:!SHA", |c| {
        c.settings.tls.ciphers.as_ref().unwrap().len() == 3
    }),
    ("ssl-ciphers", "HIGH:!ECDHE-RSA-AES128-GCM-SHA256", |c| c.settings.tls.ciphers.as_ref().unwrap().len() == 5),
    ("ssl-ecdh-curve", "auto", |c| c.settings.tls.groups.is_none()),
    ("ssl-ecdh-curve", "X25519:prime256v1:secp384r1", |c| c.settings.tls.groups.as_ref().unwrap().len() == 3),
    ("ssl-early-data", "false", |_| true),
    ("annotations-risk-level", "Medium", |c| c.risk == Risk::Medium),
    ("annotations-risk-level", "critical", |c| c.risk == Risk::Critical),
    ("enable-underscores-in-headers", "true", |c| c.settings.field_names == FieldNames::Underscores),
    ("enable-underscores-in-headers", "false", |c| c.settings.field_names == FieldNames::Plain),
    ("ignore-invalid-headers", "false", |c| c.settings.field_names == FieldNames::Any),
    ("ignore-invalid-headers", "true", |c| c.settings.field_names == FieldNames::Plain),
    ("use-gzip", "true", |c| {
        let gzip = c.settings.compression.as_ref().unwrap().gzip.as_ref().unwrap();
        (gzip.level, gzip.min_length) == (1, 256)
    }),
    ("use-gzip", "false", |c| c.settings.compression.is_none()),
    ("enable-brotli", "true", |c| {
        let brotli = c.settings.compression.as_ref().unwrap().brotli.as_ref().unwrap();
        (brotli.level, brotli.min_length) == (4, 20)
    }),
    ("gzip-level", "9", |c| c.settings.compression.is_none()),
    ("gzip-min-length", "0", |c| c.settings.compression.is_none()),
    ("gzip-types", "text/plain *", |c| c.settings.compression.is_none()),
    ("gzip-disable", "msie6", |c| c.settings.compression.is_none()),
    ("gzip-disable", "", |c| c.settings.compression.is_none()),
    ("brotli-level", "0", |c| c.settings.compression.is_none()),
    ("brotli-min-length", "1024", |c| c.settings.compression.is_none()),
    ("brotli-types", "text/plain", |c| c.settings.compression.is_none()),
    ("ssl-reject-handshake", "true", |c| c.settings.tls.rejects_unknown),
    ("ssl-session-tickets", "false", |c| !c.settings.tls.tickets),
    ("ssl-session-timeout", "10m", |c| c.settings.tls.ticket_lifetime == Duration::from_secs(600)),
    ("allow-snippet-annotations", "false", |_| true),
    ("enable-access-log-for-default-backend", "false", |c| c.settings.default_policies.is_unlogged && !c.is_log_off),
    ("enable-access-log-for-default-backend", "true", |c| !c.settings.default_policies.is_unlogged),
    ("enable-auth-access-log", "true", |c| c.settings.log.has_auth),
    ("forwarded-host-header", "X-Host", |c| &*c.settings.forwarded_host == "x-host"),
    ("generate-request-id", "false", |c| !c.settings.makes_request_id),
    ("log-format-upstream", "$status", |c| c.settings.log.format.as_ref().unwrap().text() == "$status"),
    ("upstream-keepalive-time", "1h30m", |c| c.settings.upstream_pool.age == Some(Duration::from_secs(5400))),
    ("upstream-keepalive-time", "1d", |c| c.settings.upstream_pool.age == Some(Duration::from_secs(86_400))),
    ("upstream-keepalive-time", "3600", |c| c.settings.upstream_pool.age == Some(Duration::from_secs(3600))),
    ("upstream-keepalive-time", "1m 500ms", |c| c.settings.upstream_pool.age == Some(Duration::from_millis(60_500))),
    ("log-format-upstream", "$server_name", |c| c.settings.log.format.is_some()),
    ("log-format-upstream", "", |c| c.settings.log.format.is_none()),
    ("log-format-escape-json", "true", |c| c.settings.log.format.as_ref().unwrap().escape() == Escape::Json),
    ("log-format-escape-none", "true", |c| c.settings.log.format.as_ref().unwrap().escape() == Escape::None),
    ("enable-opentelemetry", "true", |c| c.settings.default_policies.trace.as_ref().unwrap().trusts_client),
    ("opentelemetry-trust-incoming-span", "false", |c| !c.tracing.trusts_client),
    ("opentelemetry-operation-name", "HTTP $request_method $uri", |c| c.tracing.operation.is_some()),
    ("opentelemetry-operation-name", "edge", |c| c.tracing.operation.as_ref().unwrap().text() == "edge"),
    ("opentelemetry-operation-name", "", |c| c.tracing.operation.is_none()),
    ("otlp-collector-host", "otel.svc", |c| c.settings.trace.collector.as_deref() == Some("http://otel.svc:4317")),
    ("otlp-collector-host", "https://otel.svc", |c| {
        c.settings.trace.collector.as_deref() == Some("https://otel.svc:4317")
    }),
    ("otlp-collector-host", "::1", |c| c.settings.trace.collector.as_deref() == Some("http://[::1]:4317")),
    ("otlp-collector-host", "", |c| c.settings.trace.collector.is_none()),
    ("otlp-collector-port", "4318", |c| c.settings.trace.collector.is_none()),
    ("otel-service-name", "edge", |c| c.settings.trace.service.as_deref() == Some("edge")),
    ("otel-sampler", "AlwaysOff", |c| c.settings.trace.sampler.traces == Sampled::None),
    ("otel-sampler", "TraceIdRatioBased", |c| c.settings.trace.sampler.traces == Sampled::Ratio),
    ("otel-sampler-ratio", "0.5", |c| c.settings.trace.sampler.ratio == 0.5),
    ("otel-sampler-parent-based", "false", |c| !c.settings.trace.sampler.follows_parent),
    ("otel-max-queuesize", "100", |c| c.settings.trace.queue == 100),
    ("otel-schedule-delay-millis", "100", |c| c.settings.trace.delay == Duration::from_millis(100)),
    ("otel-max-export-batch-size", "10", |c| c.settings.trace.batch == 10),
    ("preserve-trailing-slash", "true", |c| c.redirect_style.keeps_slash),
    ("proxy-add-original-uri-header", "true", |c| c.settings.adds_original_uri),
    ("relative-redirects", "true", |c| c.settings.default_policies.redirect_style.is_relative),
    ("use-port-in-redirects", "true", |c| c.settings.default_policies.redirect_style.has_port),
    ("skip-access-log-urls", "/health,~^/ping", |c| {
        let skips = |target: &str| c.settings.log.skips(target.as_bytes());
        skips("/health") && skips("/ping?x") && !skips("/health?x")
    }),
    ("upstream-keepalive-connections", "0", |c| c.settings.upstream_pool.connections == 0),
    ("upstream-keepalive-requests", "7", |c| c.settings.upstream_pool.requests == Some(7)),
    ("upstream-keepalive-time", "1h", |c| c.settings.upstream_pool.age == Some(Duration::from_secs(3600))),
    ("upstream-keepalive-timeout", "9", |c| c.settings.upstream_pool.idle == Duration::from_secs(9)),
    ("worker-shutdown-timeout", "240s", |c| c.settings.drain_timeout == Some(Duration::from_secs(240))),
    ("global-auth-always-set-cookie", "true", |c| c.external_auth.always_set_cookie),
    ("global-auth-cache-duration", "200 1m", |c| c.external_auth.cache_times.len() == 1),
    ("global-auth-cache-key", "$remote_user", |c| c.external_auth.cache_key.is_some()),
    ("global-auth-method", "HEAD", |c| c.external_auth.method.as_deref() == Some("HEAD")),
    ("global-auth-request-redirect", "https://$host/x", |c| c.external_auth.request_redirect.is_some()),
    ("global-auth-response-headers", "X-A, X-B", |c| c.external_auth.response_headers.len() == 2),
    ("global-auth-signin", "https://login.test/x", |c| c.external_auth.sign_in.is_some()),
    ("global-auth-signin-redirect-param", "back", |c| c.external_auth.sign_in_param.as_deref() == Some("back")),
    ("global-auth-url", "http://auth.test/", |c| c.global_auth.is_some() && c.closed.is_none()),
];

const BAD: &[(&str, &[&str])] = &[
    ("allow-snippet-annotations", &["maybe"]),
    ("enable-access-log-for-default-backend", &["on"]),
    ("enable-auth-access-log", &["on"]),
    ("forwarded-host-header", &["", "x y"]),
    ("generate-request-id", &["on"]),
    ("log-format-upstream", &["nothing", "$status ${"]),
    ("log-format-escape-json", &["on"]),
    ("log-format-escape-none", &["on"]),
    ("enable-opentelemetry", &["on"]),
    ("opentelemetry-trust-incoming-span", &["on"]),
    ("opentelemetry-operation-name", &["$nosuchvar"]),
    ("otlp-collector-host", &["ftp://otel.svc", "otel.svc:4317", "a b", "http://", "[otel]"]),
    ("otlp-collector-port", &["", "0", "70000", "grpc"]),
    ("otel-sampler", &["", "remote", "always_on"]),
    ("otel-sampler-ratio", &["", "-0.1", "1.1", "NaN"]),
    ("otel-sampler-parent-based", &["on"]),
    ("otel-max-queuesize", &["0", "1000000"]),
    ("otel-schedule-delay-millis", &["0", "5s", "60001"]),
    ("otel-max-export-batch-size", &["0", "1000000"]),
    ("preserve-trailing-slash", &["on"]),
    ("proxy-add-original-uri-header", &["on"]),
    ("relative-redirects", &["on"]),
    ("use-port-in-redirects", &["on"]),
    ("skip-access-log-urls", &["~["]),
    ("upstream-keepalive-connections", &["", "-1"]),
    ("upstream-keepalive-requests", &["0", "many"]),
    ("upstream-keepalive-time", &["0s", "1x", "30m1h", "1h h", "5000y", "1h1h"]),
    ("upstream-keepalive-timeout", &["0", "1m"]),
    ("worker-shutdown-timeout", &["0s", "soon"]),
    ("keep-alive", &["", "-1", "75s"]),
    ("keep-alive-requests", &["", "many"]),
    ("client-header-timeout", &["0", "60s"]),
    ("client-body-timeout", &["0", "60s"]),
    ("large-client-header-buffers", &["", "4", "8k", "0 8k", "4 0", "4 8k 1", "4 1m", "4 8x"]),
    ("http2-max-concurrent-streams", &["0", "-1", "many"]),
    ("use-http2", &["on"]),
    ("use-proxy-protocol", &["on"]),
    ("proxy-protocol-header-timeout", &["0s", "s5", "soon"]),
    ("ssl-protocols", &["", "TLSv1", "SSLv3 TLSv1.1", "tls"]),
    ("ssl-ciphers", &["", "RC4", "!aNULL", "ECDHE-RSA-AES128-GCM-SHA256:!ECDHE-RSA-AES128-GCM-SHA256"]),
    ("ssl-ecdh-curve", &["", "secp521r1", "X25519MLKEM768x"]),
    ("ssl-early-data", &["true", "on"]),
    ("annotations-risk-level", &["", "none"]),
    ("enable-underscores-in-headers", &["on"]),
    ("ignore-invalid-headers", &["off"]),
    ("use-gzip", &["on"]),
    ("enable-brotli", &["on"]),
    ("gzip-level", &["0", "10", "fast"]),
    ("gzip-min-length", &["1k", "-1"]),
    ("gzip-types", &["", "text"]),
    ("gzip-disable", &["("]),
    ("brotli-level", &["-1", "12"]),
    ("brotli-min-length", &["1k"]),
    ("brotli-types", &["text/plain;q"]),
    ("ssl-reject-handshake", &["on"]),
    ("ssl-session-tickets", &["on"]),
    ("ssl-session-timeout", &["", "0s", "500ms", "2d", "soon"]),
    ("global-auth-always-set-cookie", &["maybe"]),
    ("global-auth-cache-duration", &["x"]),
    ("global-auth-cache-key", &["$nosuchvar"]),
    ("global-auth-method", &["get"]),
    ("global-auth-request-redirect", &["$nosuchvar", "a b"]),
    ("global-auth-response-headers", &["a b"]),
    ("global-auth-signin", &["nowhere", "http://a.test/$nosuchvar", "http://a.test/a b"]),
    ("global-auth-signin-redirect-param", &["a;b"]),
    ("allow-cross-namespace-resources", &["maybe"]),
    ("ssl-redirect", &["yes"]),
    ("force-ssl-redirect", &["yes"]),
    ("hsts", &["on"]),
    ("hsts-max-age", &["", "1y", "-1"]),
    ("hsts-include-subdomains", &["on"]),
    ("hsts-preload", &["on"]),
    ("http-redirect-code", &["303", "abc"]),
    ("use-forwarded-headers", &["on"]),
    ("enable-real-ip", &["on"]),
    ("compute-full-forwarded-for", &["on"]),
    ("forwarded-for-header", &["", "x y", "x:y", "x\r\ny: z"]),
    ("proxy-real-ip-cidr", &["10.0.0.0/33", "everybody"]),
    ("add-headers", &["headers", "a/b/c"]),
    ("proxy-set-headers", &["/x"]),
    ("allow-backend-server-header", &["on"]),
    ("disable-access-log", &["yes"]),
    ("disable-http-access-log", &["yes"]),
    ("global-allowed-response-headers", &["a b", "Content-Length"]),
    ("limit-rate", &["fast"]),
    ("limit-rate-after", &["1k"]),
    ("proxy-cookie-domain", &["one", "a $host"]),
    ("proxy-cookie-path", &["~( /x"]),
    ("proxy-redirect-from", &["~(", "http://$host/"]),
    ("proxy-redirect-to", &["a b", "$host"]),
    ("proxy-request-buffering", &["true"]),
    ("proxy-body-size", &["big"]),
    ("proxy-connect-timeout", &["0"]),
    ("proxy-read-timeout", &["-1"]),
    ("proxy-send-timeout", &["1s"]),
    ("load-balance", &["least_conn"]),
    ("service-upstream", &["on"]),
    ("limit-conn-zone-variable", &["", "x", "$request_id", "$nosuchvar"]),
    ("limit-req-status-code", &["", "399", "600", "444", "x"]),
    ("limit-conn-status-code", &["200", "499"]),
    ("custom-http-errors", &["teapot", "299"]),
    ("disable-proxy-intercept-errors", &["on"]),
    ("proxy-http-version", &["2"]),
    ("proxy-next-upstream", &["sometimes", ""]),
    ("proxy-next-upstream-timeout", &["1s", "-1"]),
    ("proxy-next-upstream-tries", &["x", "-1"]),
    ("proxy-ssl-location-only", &["on"]),
    ("retry-non-idempotent", &["on"]),
];

#[test]
fn the_table_has_every_key_once_and_sorted() {
    assert!(table().windows(2).all(|pair| pair[0].name < pair[1].name));
    assert!(table().iter().all(|key| key.parse.is_some() == (key.status == Status::Honoured)));
}

#[test]
fn every_honoured_key_is_read() {
    for (key, value, is_read) in GOOD {
        let (configuration, diagnostics) = read_data(&[(key, value)]);
        assert!(is_read(&configuration), "{key}: {value}");
        // What is named here is not there.
        let is_expected = |code| matches!(code, "NoTrustedNetworks" | "ConfigMapNotFound");
        assert!(diagnostics.iter().all(|diagnostic| is_expected(diagnostic.code)), "{key}: {diagnostics:?}");
    }
    for key in table().iter().filter(|key| key.parse.is_some()) {
        assert!(GOOD.iter().any(|(name, ..)| *name == key.name), "{} has no good value here", key.name);
    }
}

#[test]
fn a_bad_value_leaves_the_default_and_says_what_is_allowed() {
    let default = read_data(&[]).0;
    for (key, values) in BAD {
        for value in *values {
            let (mut configuration, diagnostics) = read_data(&[(key, value)]);
            // What was asked for, of which nothing came.
            configuration.log_format = default.log_format.clone();
            assert_eq!(configuration, default, "{key}: {value}");
            assert_eq!((diagnostics[0].severity, diagnostics[0].code), (Severity::Error, "OptionInvalid"));
            assert_eq!(diagnostics[0].origin.as_ref().unwrap().field, format!("data[{key}]"));
        }
    }
}

#[test]
fn good_networks_count_beside_bad_ones() {
    let (configuration, diagnostics) = read_data(&[("proxy-real-ip-cidr", "10.0.0.0/8,nonsense")]);
    assert_eq!(configuration.settings.trusted.len(), 1);
    assert!(diagnostics[0].mend.contains("`nonsense` is left out"));
}

#[test]
fn snippets_are_refused_whatever_the_options_say() {
    let (_, diagnostics) = read_data(&[("allow-snippet-annotations", "true")]);
    assert_eq!((diagnostics[0].severity, diagnostics[0].code), (Severity::Warning, "OptionWithoutEffect"));
}

#[test]
fn an_annotation_wins_over_how_all_redirects_are_written() {
    let names = ["relative-redirects", "use-port-in-redirects", "preserve-trailing-slash"];
    let (configuration, _) = read_data(&names.map(|name| (name, "true")));
    let mut own = IngressSettings::default();
    let style = |own: &IngressSettings| policies(&configuration, own, "/").redirect_style;
    assert_eq!(style(&own), RedirectStyle { is_relative: true, has_port: true, keeps_slash: true });
    (own.redirects.is_relative, own.redirects.has_port) = (Some(false), Some(false));
    assert_eq!(style(&own), RedirectStyle { is_relative: false, has_port: false, keeps_slash: true });
}

#[test]
fn a_variable_that_there_is_not_costs_the_rest_of_the_line_nothing() {
    let (configuration, diagnostics) =
        read_data(&[("log-format-upstream", "$status $upstream_http_x ${nosuchvar} $host")]);
    assert_eq!((diagnostics[0].severity, diagnostics[0].code), (Severity::Warning, "OptionInvalid"));
    assert!(diagnostics[0].message.contains("`$upstream_http_x`, `$nosuchvar`"), "{}", diagnostics[0].message);
    let format = configuration.settings.log.format.unwrap();
    let unknown = format.pieces().iter().filter(|piece| **piece == Piece::Variable(Variable::Unknown));
    assert_eq!((format.pieces().len(), unknown.count()), (7, 2));
}

/// What differs without a word in the ConfigMap is in the reference page.
#[test]
fn a_default_that_is_other_than_in_ingress_nginx_is_told() {
    let (configuration, _) = read_data(&[]);
    let Settings { limits, tls, upstream_pool, drain_timeout, .. } = &configuration.settings;
    for (name, differs) in [
        ("client-header-timeout", limits.header_timeout != Duration::from_secs(60)),
        ("client-body-timeout", limits.body_timeout != Duration::from_secs(60)),
        ("enable-access-log-for-default-backend", configuration.logs_default_backend),
        ("keep-alive", limits.keepalive_idle != Duration::from_secs(75)),
        ("keep-alive-requests", limits.keepalive_requests != 1000),
        ("ssl-session-tickets", tls.tickets),
        ("upstream-keepalive-requests", upstream_pool.requests != Some(10_000)),
        ("upstream-keepalive-time", upstream_pool.age != Some(Duration::from_secs(3600))),
        ("worker-shutdown-timeout", drain_timeout.is_none_or(|time| time != Duration::from_secs(240))),
    ] {
        let key = table().iter().find(|key| key.name == name).unwrap();
        assert_eq!(key.why.contains("without it"), differs, "{name}");
    }
}

#[test]
fn the_keys_about_compression_are_read_together() {
    let asked = [
        ("use-gzip", "true"),
        ("gzip-level", "5"),
        ("gzip-min-length", "1"),
        ("gzip-types", "text/css"),
        ("gzip-disable", "msie6"),
        ("enable-brotli", "true"),
        ("brotli-level", "11"),
        ("brotli-min-length", "2"),
        ("brotli-types", "*"),
    ];
    let (configuration, diagnostics) = read_data(&asked);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let compression = configuration.settings.compression.unwrap();
    let types = |text| MediaTypes::parse(text).unwrap();
    assert_eq!(compression.gzip, Some(Terms { level: 5, min_length: 1, types: types("text/css") }));
    assert_eq!(compression.brotli, Some(Terms { level: 11, min_length: 2, types: types("*") }));
    assert!(compression.no_gzip.as_ref().unwrap().is_in(b"Mozilla/4.0 (compatible; MSIE 6.0)"));
}

#[test]
fn every_key_that_is_not_honoured_says_why() {
    assert!(table().iter().all(|key| !key.why.is_empty() || key.status == Status::Honoured));
}

#[test]
fn good_names_of_tls_count_beside_bad_ones() {
    for (key, value, left_out) in [
        ("ssl-protocols", "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", "`TLSv1`, `TLSv1.1`"),
        ("ssl-protocols", "TLSv1.1 TLSv1.2", "`TLSv1.1`"),
        ("ssl-ciphers", "ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256", "`DHE-RSA-AES128-GCM-SHA256`"),
        ("ssl-ciphers", "ALL:!aNULL:!AES-128", "`!AES-128`"),
        ("ssl-ecdh-curve", "secp521r1:secp384r1", "`secp521r1`"),
    ] {
        let (configuration, diagnostics) = read_data(&[(key, value)]);
        assert_eq!(diagnostics[0].code, "OptionInvalid", "{key}");
        assert!(diagnostics[0].mend.contains(&format!("({left_out} is left out)")), "{}", diagnostics[0].mend);
        assert!(diagnostics[0].message.ends_with(": what is wrong in it is left out"), "{}", diagnostics[0].message);
        let tls = configuration.settings.tls;
        assert!(
            tls.min_version == TlsVersion::V1_2
                && (key != "ssl-ciphers" || tls.ciphers.is_some())
                && (key != "ssl-ecdh-curve" || tls.groups.is_some()),
            "{key}"
        );
    }
}

#[test]
fn the_proxy_protocol_is_spoken_by_the_networks_that_are_trusted() {
    let asked = ("use-proxy-protocol", "true");
    let (configuration, diagnostics) = read_data(&[asked, ("proxy-real-ip-cidr", "10.0.0.0/8")]);
    assert!(configuration.settings.proxy_protocol.trusts("10.1.2.3".parse().unwrap()));
    assert_eq!(diagnostics, []);
    let (configuration, diagnostics) = read_data(&[asked]);
    assert!(configuration.settings.proxy_protocol.trusted.is_empty(), "its connections are closed");
    assert_eq!((diagnostics[0].severity, diagnostics[0].code), (Severity::Error, "NoTrustedNetworks"));
}

#[test]
fn what_is_not_honoured_or_unknown_is_never_silent() {
    for key in table().iter().filter(|key| key.parse.is_none()) {
        let code = match key.status {
            _ if key.guard => "RouteClosed",
            Status::NoEffect => "OptionWithoutEffect",
            _ => "OptionNotHonoured",
        };
        let (configuration, diagnostics) = read_data(&[(key.name, "x")]);
        assert_eq!(
            (diagnostics[0].severity == Severity::Error, diagnostics[0].code),
            (key.guard, code),
            "{}",
            key.name
        );
        assert!(diagnostics[0].message.ends_with(key.why), "{}", key.name);
        assert_eq!(configuration.closed.is_some(), key.guard, "{}", key.name);
    }
    let (_, diagnostics) = read_data(&[("proxy-bodysize", "1m"), ("whatever", "x")]);
    assert_eq!(diagnostics[0].code, "OptionUnknown");
    assert_eq!(diagnostics[0].mend, "did you mean `proxy-body-size`?");
    assert_eq!(diagnostics[1].mend, "remove it");
}

fn policies(configuration: &Configuration, settings: &IngressSettings, path: &str) -> Policies {
    policy::at_path(configuration, &policy::of_settings(configuration, settings), path)
}

#[test]
fn a_guard_that_cannot_be_read_closes_every_route() {
    for (key, value) in [
        ("whitelist-source-range", "10.0.0.0/8,nonsense"),
        ("denylist-source-range", "10.0.0.0/33"),
        ("block-cidrs", "everybody"),
        ("block-user-agents", "~["),
        ("block-referers", "good,~a(?!b)"),
    ] {
        let (configuration, diagnostics) = read_data(&[(key, value)]);
        assert_eq!(configuration.closed, Some(format!("{key} cannot be read").into()));
        assert_eq!((diagnostics[0].severity, diagnostics[0].code), (Severity::Error, "RouteClosed"), "{key}");
        assert!(configuration.settings.default_policies.closed.is_some(), "{key}");
    }
}

#[test]
fn the_lists_of_all_hold_for_routes_without_their_own() {
    let data = [("whitelist-source-range", "10.0.0.0/8"), ("denylist-source-range", "10.1.0.0/16")];
    let (configuration, _) = read_data(&data);
    let lists = |settings: &IngressSettings| {
        let networks = policies(&configuration, settings, "/").networks.unwrap();
        [&networks.denied, &networks.allowed].map(|list| list.as_ref().unwrap().to_string())
    };
    assert_eq!(lists(&IngressSettings::default()), ["10.1.0.0/16", "10.0.0.0/8"]);
    let mut own = IngressSettings::default();
    own.networks.allowed = Some(Arc::new(["192.0.2.0/24".parse::<ipnet::IpNet>().unwrap()].into_iter().collect()));
    assert_eq!(lists(&own), ["10.1.0.0/16", "192.0.2.0/24"]);
    // Not for what no route takes (c209).
    assert_eq!(configuration.settings.default_policies.networks, None);
    assert_eq!(policies(&read_data(&[]).0, &IngressSettings::default(), "/").networks, None);
}

#[test]
fn a_service_that_cannot_be_asked_closes_every_route() {
    for url in ["nowhere", "http://", "http://a.test/$nosuchvar"] {
        let (configuration, diagnostics) = read_data(&[("global-auth-url", url)]);
        assert_eq!(diagnostics[0].code, "RouteClosed", "{url}");
        assert!(configuration.closed.is_some() && configuration.global_auth.is_none(), "{url}");
    }
    assert!(read_data(&[("global-auth-url", "")]).0.closed.is_none());
}

#[test]
fn forwarded_headers_need_a_trusted_network() {
    let codes = |data: &[(&str, &str)]| read_data(data).1.into_iter().map(|d| d.code).collect::<Vec<_>>();
    assert_eq!(codes(&[("use-forwarded-headers", "true")]), ["NoTrustedNetworks"]);
    assert_eq!(codes(&[("enable-real-ip", "true")]), ["NoTrustedNetworks"]);
    assert!(codes(&[("enable-real-ip", "true"), ("proxy-real-ip-cidr", "10.0.0.0/8")]).is_empty());
    assert!(read_data(&[]).0.settings.trusted.is_empty(), "nobody is trusted by default");
}

#[test]
fn strict_asks_for_nothing_that_was_not_asked_for() {
    let (nginx, _) = read_data(&[]);
    assert_eq!((nginx.ssl_redirect, nginx.settings.hsts), (true, Settings::default().hsts));
    assert_eq!(nginx.settings.trailing_slash, TrailingSlash::Redirect);
    let (strict, _) = read_with(Compatibility::Strict, &[]);
    assert_eq!((strict.ssl_redirect, &strict.settings.hsts), (false, &None));
    assert_eq!(strict.settings.trailing_slash, TrailingSlash::Ignore);
    let (asked, _) = read_with(Compatibility::Strict, &[("ssl-redirect", "true"), ("hsts", "true")]);
    assert!(asked.ssl_redirect && asked.settings.hsts.is_some());
}

#[test]
fn the_redirect_exemption_compares_the_path_of_the_rule() {
    let (configuration, _) = read_data(&[]);
    let [mut forced, mut off, mut forced_only] = [(); 3].map(|()| IngressSettings::default());
    forced.redirects.force_ssl = Some(true);
    off.redirects.ssl = Some(false);
    (forced_only.redirects.force_ssl, forced_only.redirects.ssl) = (Some(true), Some(false));
    for (settings, path, expected) in [
        (&IngressSettings::default(), "/", SslRedirect::WithCertificate),
        (&IngressSettings::default(), "/.well-known/acme-challenge/token", SslRedirect::Off),
        (&IngressSettings::default(), "/.well-known/acme-challenges", SslRedirect::Off),
        (&IngressSettings::default(), "/.well-known", SslRedirect::WithCertificate),
        (&forced, "/.well-known/acme-challenge", SslRedirect::Off),
        (&forced, "/", SslRedirect::Always),
        (&forced_only, "/", SslRedirect::Always),
        (&off, "/", SslRedirect::Off),
    ] {
        assert_eq!(policies(&configuration, settings, path).ssl_redirect, expected, "{path}");
    }
    let (forced_by_all, _) = read_data(&[("force-ssl-redirect", "true")]);
    assert_eq!(policies(&forced_by_all, &off, "/").ssl_redirect, SslRedirect::Always);
    assert_eq!(forced_by_all.settings.default_policies.ssl_redirect, SslRedirect::Off);
}

#[test]
fn annotations_win_over_the_config_map_and_that_over_the_options() {
    let (configuration, _) = read_data(&[("proxy-body-size", "2m"), ("proxy-read-timeout", "2")]);
    let settings = IngressSettings { body_size: Some(BodySize(None)), ..IngressSettings::default() };
    let policies = policies(&configuration, &settings, "/");
    assert_eq!(policies.body_size, BodySize(None));
    assert_eq!(policies.timeouts.read, Duration::from_secs(2));
    assert_eq!(policies.timeouts.send, Duration::from_secs(60));
}

#[test]
fn a_missing_config_map_is_an_error_and_the_defaults_hold() {
    let options = Options { configmap: Some(name("ops/options")), ..Options::default() };
    let mut diagnostics = Vec::new();
    let configuration = read(&Index::new(), &options, &mut diagnostics);
    assert_eq!(configuration, read_data(&[]).0);
    assert_eq!(diagnostics[0].code, "ConfigMapNotFound");
    assert_eq!(diagnostics[0].origin.as_ref().unwrap().to_string(), "ConfigMap ops/options");
}

#[test]
fn a_config_map_that_may_not_be_read_serves_nothing_by_the_defaults() {
    let options = Options { configmap: Some(name("ops/options")), ..Options::default() };
    let mut index = Index::new();
    index.apply(Change::Refused(Kind::ConfigMap));
    let mut diagnostics = Vec::new();
    let configuration = read(&index, &options, &mut diagnostics);
    assert!(configuration.closed.is_some() && configuration.settings.default_policies.closed.is_some());
    assert_eq!(diagnostics[0].code, "ConfigMapNotFound");
}

/// What a client says must not stand where the operator's own value was to be.
#[test]
fn a_client_never_says_what_a_rule_of_the_operator_failed_to_say() {
    let options = Options { configmap: Some(name("options")), ..Options::default() };
    let fields = [
        ("X-User", "$nosuchvar"),
        ("X-Group", "a\r\nb"),
        ("X-Good", "$host"),
        ("X-Gone", ""),
        ("X Bad", "v"),
        ("Host", "$nosuchvar"),
        ("Upgrade", "h2c"),
    ];
    let objects = [config_map("options", &[("proxy-set-headers", "default/headers")]), config_map("headers", &fields)];
    let mut diagnostics = Vec::new();
    let configuration = read(&Index::of(objects), &options, &mut diagnostics);
    let set = configuration.settings.upstream_headers.iter();
    let set: Vec<_> = set.map(|(name, value)| (&**name, value.is_some())).collect();
    assert_eq!(set, [("x-gone", false), ("x-good", true), ("x-group", false), ("x-user", false)]);
    assert_eq!(diagnostics.iter().filter(|diagnostic| diagnostic.code == "HeaderInvalid").count(), 5);
}

proptest! {
    #[test]
    fn no_value_panics(value in ".{0,40}", digits in "[-+0-9a-z./:, ]{0,24}") {
        for key in table() {
            read_data(&[(key.name, &value)]);
            read_data(&[(key.name, &digits)]);
        }
    }
}

#[test]
fn a_guard_that_is_no_string_closes_and_another_key_leaves_the_default() {
    let options = Options { configmap: Some(name("options")), ..Options::default() };
    let read_unreadable = |key: &str| {
        let Object::ConfigMap(mut map) = config_map("options", &[]) else { panic!("not a ConfigMap") };
        map.unreadable.insert(key.to_owned());
        let mut diagnostics = Vec::new();
        let configuration = read(&Index::of([Object::ConfigMap(map)]), &options, &mut diagnostics);
        (configuration, diagnostics)
    };
    for key in table().iter().filter(|key| key.guard) {
        let (configuration, diagnostics) = read_unreadable(key.name);
        assert_eq!(configuration.closed, Some(format!("{} is no string", key.name).into()));
        assert_eq!(diagnostics[0].code, "RouteClosed");
    }
    let (configuration, diagnostics) = read_unreadable("hsts-max-age");
    assert_eq!((configuration, diagnostics), read_data(&[]), "its reader has said it");
}
