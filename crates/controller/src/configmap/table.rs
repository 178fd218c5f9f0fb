//! Every key of ingress-nginx v1.15.1, by name (its docs/user-guide/nginx-configuration/configmap.md).

use super::{Key, Parse, auth, compression, connection, log, trace, value};
use crate::annotation::Status;

impl Key {
    const fn new(name: &'static str, status: Status, why: &'static str) -> Self {
        Self { name, status, why, guard: false, parse: None }
    }

    const fn honoured(name: &'static str, parse: Parse) -> Self {
        Self { parse: Some(parse), ..Self::new(name, Status::Honoured, "") }
    }

    /// What is other than in ingress-nginx.
    const fn differing(self, why: &'static str) -> Self {
        Self { why, ..self }
    }

    const fn guarding(name: &'static str, parse: Parse) -> Self {
        Self { guard: true, ..Self::honoured(name, parse) }
    }

    /// One about nginx itself, without a counterpart and without the need of one.
    const fn moot(name: &'static str, why: &'static str) -> Self {
        Self::new(name, Status::NoEffect, why)
    }

    const fn refused(name: &'static str, why: &'static str) -> Self {
        Self::new(name, Status::Refused, why)
    }
}

const BUFFERS: &str = "buffers size themselves";
const CONNECTIONS: &str = "connections are accepted by every worker on a socket of its own";
const ENGINE_LOG: &str = "the log of the process is on the standard error; use --log-level";
const GEOIP: &str = "there is no GeoIP database, and no variable that asks for one";
const HASH: &str = "tables have the size that they need";
const JAEGER: &str = "ingress-nginx itself does not know it any more";
const LOG_PATH: &str = "use --access-log-path";
const MODSECURITY: &str = "there is no ModSecurity";
const OF_PLAIN_CONNECTIONS: &str = "without it no limit, not 10000 requests or `1h`: addresses are followed as they change; it holds \
                                    for endpoints in the clear, not in TLS";
const RESUMPTION: &str = "there is no cache of sessions; they are resumed by tickets, see ssl-session-tickets";
const SNIPPET: &str = "there is no nginx configuration to put text into";
const STATUS_PAGE: &str = "there is no page of nginx's status; use /metrics";
const STREAMED: &str = "bodies are streamed, or wait in memory as `proxy-request-buffering` says, and never in files";
const STREAMS: &str = "there are no TCP and UDP services";
const SYSLOG: &str = "the access log goes to the standard output, or to a file with --access-log-path";

pub(super) static TABLE: [Key; 204] = [
    Key::moot("access-log-params", "lines are written in batches without making requests wait"),
    Key::moot("access-log-path", LOG_PATH),
    Key::honoured("add-headers", value::add_headers),
    Key::honoured("allow-backend-server-header", value::allow_backend_server_header),
    Key::honoured("allow-cross-namespace-resources", value::allow_cross_namespace),
    Key::honoured("allow-snippet-annotations", value::allow_snippets),
    Key::moot("annotation-value-word-blocklist", "no text of an annotation becomes configuration"),
    Key::honoured("annotations-risk-level", value::annotations_risk_level),
    Key::moot("bind-address", "use --bind-address"),
    Key::guarding("block-cidrs", value::block_cidrs),
    Key::guarding("block-referers", value::block_referers),
    Key::guarding("block-user-agents", value::block_user_agents),
    Key::honoured("brotli-level", compression::brotli_level),
    Key::honoured("brotli-min-length", compression::brotli_min_length),
    Key::honoured("brotli-types", compression::brotli_types),
    Key::moot("client-body-buffer-size", STREAMED),
    Key::honoured("client-body-timeout", connection::client_body_timeout),
    Key::moot("client-header-buffer-size", "memory for a head grows with it; see large-client-header-buffers"),
    Key::honoured("client-header-timeout", connection::client_header_timeout)
        .differing("without it 10 seconds (`--header-timeout`), not 60: a head that comes slowly holds a connection"),
    Key::honoured("compute-full-forwarded-for", value::compute_full_forwarded_for),
    Key::honoured("custom-http-errors", value::custom_http_errors),
    Key::moot("debug-connections", "use --log-level"),
    Key::moot("default-type", "no files are served; endpoints name the type of what they send"),
    Key::guarding("denylist-source-range", value::denylist_source_range),
    Key::honoured("disable-access-log", value::disable_access_log),
    Key::honoured("disable-http-access-log", value::disable_access_log),
    Key::moot("disable-ipv6", "use --bind-address"),
    Key::moot("disable-ipv6-dns", "names are resolved by the resolver of the system"),
    Key::honoured("disable-proxy-intercept-errors", value::disable_proxy_intercept_errors),
    Key::moot("disable-stream-access-log", STREAMS),
    Key::honoured("enable-access-log-for-default-backend", log::logs_default_backend)
        .differing("without it `true`, not `false`: what nobody serves is what is looked for first"),
    Key::moot("enable-aio-write", STREAMED),
    Key::honoured("enable-auth-access-log", log::logs_auth)
        .differing("a route without an access log (`enable-access-log`) has none of these either"),
    Key::honoured("enable-brotli", compression::enable_brotli),
    Key::refused("enable-modsecurity", MODSECURITY),
    Key::moot("enable-multi-accept", CONNECTIONS),
    Key::refused(
        "enable-ocsp",
        "no OCSP response is stapled to certificates: public authorities are giving OCSP up, and clients have lists instead",
    ),
    Key::honoured("enable-opentelemetry", trace::enable),
    Key::refused("enable-owasp-modsecurity-crs", MODSECURITY),
    Key::honoured("enable-real-ip", value::enable_real_ip),
    Key::moot("enable-serial-reloads", "nothing is ever reloaded"),
    Key::moot("enable-syslog", SYSLOG),
    Key::honoured("enable-underscores-in-headers", value::enable_underscores_in_headers),
    Key::moot("error-log-level", "use --log-level"),
    Key::moot("error-log-path", ENGINE_LOG),
    Key::honoured("force-ssl-redirect", value::force_ssl_redirect),
    Key::honoured("forwarded-for-header", value::forwarded_for_header),
    Key::moot(
        "forwarded-for-proxy-protocol-header",
        "what a PROXY protocol header says needs no header field of its own",
    ),
    Key::honoured("forwarded-host-header", log::forwarded_host_header),
    Key::honoured("generate-request-id", log::generate_request_id),
    Key::moot("geoip2-autoreload-in-minutes", GEOIP),
    Key::honoured("global-allowed-response-headers", value::global_allowed_response_headers),
    Key::honoured("global-auth-always-set-cookie", auth::always_set_cookie),
    Key::honoured("global-auth-cache-duration", auth::cache_duration),
    Key::honoured("global-auth-cache-key", auth::cache_key),
    Key::honoured("global-auth-method", auth::method),
    Key::honoured("global-auth-request-redirect", auth::request_redirect),
    Key::honoured("global-auth-response-headers", auth::response_headers),
    Key::honoured("global-auth-signin", auth::signin),
    Key::honoured("global-auth-signin-redirect-param", auth::signin_redirect_param),
    Key::refused("global-auth-snippet", SNIPPET),
    Key { guard: true, ..Key::honoured("global-auth-url", auth::url) },
    Key::moot("grpc-buffer-size-kb", STREAMED),
    Key::honoured("gzip-disable", compression::gzip_disable),
    Key::honoured("gzip-level", compression::gzip_level),
    Key::honoured("gzip-min-length", compression::gzip_min_length),
    Key::honoured("gzip-types", compression::gzip_types),
    Key::honoured("hide-headers", value::hide_headers),
    Key::honoured("hsts", value::hsts),
    Key::honoured("hsts-include-subdomains", value::hsts_include_subdomains),
    Key::honoured("hsts-max-age", value::hsts_max_age),
    Key::honoured("hsts-preload", value::hsts_preload),
    Key::moot("http-access-log-path", LOG_PATH),
    Key::honoured("http-redirect-code", value::http_redirect_code),
    Key::refused("http-snippet", SNIPPET),
    Key::honoured("http2-max-concurrent-streams", connection::http2_max_concurrent_streams),
    Key::moot("http2-max-field-size", "use large-client-header-buffers"),
    Key::moot("http2-max-header-size", "use large-client-header-buffers"),
    Key::moot("http2-max-requests", "use keep-alive-requests"),
    Key::honoured("ignore-invalid-headers", value::ignore_invalid_headers),
    Key::moot("jaeger-baggage-header", JAEGER),
    Key::moot("jaeger-collector-host", JAEGER),
    Key::moot("jaeger-collector-port", JAEGER),
    Key::moot("jaeger-debug-header", JAEGER),
    Key::moot("jaeger-endpoint", JAEGER),
    Key::moot("jaeger-propagation-format", JAEGER),
    Key::moot("jaeger-sampler-host", JAEGER),
    Key::moot("jaeger-sampler-param", JAEGER),
    Key::moot("jaeger-sampler-port", JAEGER),
    Key::moot("jaeger-sampler-type", JAEGER),
    Key::moot("jaeger-service-name", JAEGER),
    Key::moot("jaeger-trace-baggage-header-prefix", JAEGER),
    Key::moot("jaeger-trace-context-header-name", JAEGER),
    Key::honoured("keep-alive", connection::keep_alive),
    Key::honoured("keep-alive-requests", connection::keep_alive_requests),
    Key::honoured("large-client-header-buffers", connection::large_client_header_buffers),
    Key::honoured("limit-conn-status-code", value::limit_conn_status_code),
    Key::honoured("limit-conn-zone-variable", value::limit_conn_zone_variable),
    Key::honoured("limit-rate", value::limit_rate),
    Key::honoured("limit-rate-after", value::limit_rate_after),
    Key::honoured("limit-req-status-code", value::limit_req_status_code),
    Key::honoured("load-balance", value::load_balance),
    Key::refused("location-snippet", SNIPPET),
    Key::honoured("log-format-escape-json", log::log_format_escape_json),
    Key::honoured("log-format-escape-none", log::log_format_escape_none),
    Key::moot("log-format-stream", STREAMS),
    Key::honoured("log-format-upstream", log::log_format_upstream),
    Key::moot("lua-shared-dicts", "there is no Lua"),
    Key::refused("main-snippet", SNIPPET),
    Key::moot("map-hash-bucket-size", HASH),
    Key::moot("max-worker-connections", "use --max-connections"),
    Key::moot("max-worker-open-files", "the limit on open files is raised as far as the system lets it"),
    Key::refused("modsecurity-snippet", MODSECURITY),
    Key::moot("nginx-status-ipv4-whitelist", STATUS_PAGE),
    Key::moot("nginx-status-ipv6-whitelist", STATUS_PAGE),
    Key::honoured("no-auth-locations", value::no_auth_locations),
    Key::honoured("no-tls-redirect-locations", value::no_tls_redirect_locations),
    Key::moot("opentelemetry-config", "there is no module that reads such a file; see the keys otel-* and otlp-*"),
    Key::honoured("opentelemetry-operation-name", trace::operation_name),
    Key::honoured("opentelemetry-trust-incoming-span", trace::trust_incoming_span),
    Key::honoured("otel-max-export-batch-size", trace::max_batch_size),
    Key::honoured("otel-max-queuesize", trace::max_queue_size),
    Key::honoured("otel-sampler", trace::sampler),
    Key::honoured("otel-sampler-parent-based", trace::sampler_parent_based),
    Key::honoured("otel-sampler-ratio", trace::sampler_ratio),
    Key::honoured("otel-schedule-delay-millis", trace::schedule_delay),
    Key::honoured("otel-service-name", trace::service_name),
    Key::honoured("otlp-collector-host", trace::collector_host),
    Key::honoured("otlp-collector-port", trace::collector_port),
    Key::honoured("preserve-trailing-slash", value::preserve_trailing_slash),
    Key::honoured("proxy-add-original-uri-header", log::proxy_add_original_uri_header),
    Key::honoured("proxy-body-size", value::proxy_body_size),
    Key::moot("proxy-buffer-size", "the head of a response may have up to 128 KiB, whatever is asked for"),
    Key::moot("proxy-buffering", "responses are streamed, as with `off`"),
    Key::moot("proxy-buffers-number", BUFFERS),
    Key::moot("proxy-busy-buffers-size", BUFFERS),
    Key::honoured("proxy-connect-timeout", value::proxy_connect_timeout),
    Key::honoured("proxy-cookie-domain", value::proxy_cookie_domain),
    Key::honoured("proxy-cookie-path", value::proxy_cookie_path),
    Key::moot("proxy-headers-hash-bucket-size", HASH),
    Key::moot("proxy-headers-hash-max-size", HASH),
    Key::honoured("proxy-http-version", value::proxy_http_version),
    Key::moot("proxy-max-temp-file-size", STREAMED),
    Key::honoured("proxy-next-upstream", value::proxy_next_upstream),
    Key::honoured("proxy-next-upstream-timeout", value::proxy_next_upstream_timeout),
    Key::honoured("proxy-next-upstream-tries", value::proxy_next_upstream_tries),
    Key::honoured("proxy-protocol-header-timeout", connection::proxy_protocol_header_timeout),
    Key::honoured("proxy-read-timeout", value::proxy_read_timeout),
    Key::honoured("proxy-real-ip-cidr", value::proxy_real_ip_cidr),
    Key::honoured("proxy-redirect-from", value::proxy_redirect_from),
    Key::honoured("proxy-redirect-to", value::proxy_redirect_to),
    Key::honoured("proxy-request-buffering", value::proxy_request_buffering),
    Key::honoured("proxy-send-timeout", value::proxy_send_timeout),
    Key::honoured("proxy-set-headers", value::proxy_set_headers),
    Key::honoured("proxy-ssl-location-only", value::proxy_ssl_location_only),
    Key::moot("proxy-stream-next-upstream", STREAMS),
    Key::moot("proxy-stream-next-upstream-timeout", STREAMS),
    Key::moot("proxy-stream-next-upstream-tries", STREAMS),
    Key::moot("proxy-stream-responses", STREAMS),
    Key::moot("proxy-stream-timeout", STREAMS),
    Key::honoured("relative-redirects", value::relative_redirects),
    Key::honoured("retry-non-idempotent", value::retry_non_idempotent),
    Key::moot("reuse-port", CONNECTIONS),
    Key::moot("server-name-hash-bucket-size", HASH),
    Key::moot("server-name-hash-max-size", HASH),
    Key::refused("server-snippet", SNIPPET),
    Key::moot("server-tokens", "no `Server` of the proxy is sent, and its error pages name no version"),
    Key::honoured("service-upstream", value::service_upstream),
    Key::honoured("skip-access-log-urls", log::skip_access_log_urls),
    Key::moot("ssl-buffer-size", "records are small at first, and grow with the response"),
    Key::honoured("ssl-ciphers", connection::ssl_ciphers),
    Key::moot("ssl-dh-param", "no finite-field Diffie-Hellman is offered"),
    Key::honoured("ssl-early-data", connection::ssl_early_data),
    Key::honoured("ssl-ecdh-curve", connection::ssl_ecdh_curve),
    Key::honoured("ssl-protocols", connection::ssl_protocols),
    Key::honoured("ssl-redirect", value::ssl_redirect),
    Key::honoured("ssl-reject-handshake", connection::ssl_reject_handshake),
    Key::moot("ssl-session-cache", RESUMPTION),
    Key::moot("ssl-session-cache-size", RESUMPTION),
    Key::moot("ssl-session-ticket-key", "use --tls-session-ticket-secret"),
    Key::honoured("ssl-session-tickets", connection::ssl_session_tickets).differing(
        "without it `true` (`--tls-session-tickets`), not `false`: the keys change, and there is no other way to resume a session",
    ),
    Key::honoured("ssl-session-timeout", connection::ssl_session_timeout)
        .differing("without it twelve hours, not ten minutes: that is the time of a cache, and there is none"),
    Key::moot("stream-access-log-path", STREAMS),
    Key::refused("stream-snippet", SNIPPET),
    Key::moot("strict-validate-path-type", "there is no validating webhook; paths are told of as they are read"),
    Key::moot("syslog-host", SYSLOG),
    Key::moot("syslog-port", SYSLOG),
    Key::honoured("upstream-keepalive-connections", connection::upstream_keepalive_connections)
        .differing("for endpoints in TLS the number of the start holds: their connections are in a pool of that size"),
    Key::honoured("upstream-keepalive-requests", connection::upstream_keepalive_requests)
        .differing(OF_PLAIN_CONNECTIONS),
    Key::honoured("upstream-keepalive-time", connection::upstream_keepalive_time).differing(OF_PLAIN_CONNECTIONS),
    Key::honoured("upstream-keepalive-timeout", connection::upstream_keepalive_timeout),
    Key::honoured("use-forwarded-headers", value::use_forwarded_headers),
    Key::moot("use-geoip", GEOIP),
    Key::moot("use-geoip2", GEOIP),
    Key::honoured("use-gzip", compression::use_gzip),
    Key::honoured("use-http2", connection::use_http2),
    Key::honoured("use-port-in-redirects", value::use_port_in_redirects),
    Key::honoured("use-proxy-protocol", connection::use_proxy_protocol),
    Key::moot("variables-hash-bucket-size", HASH),
    Key::moot("variables-hash-max-size", HASH),
    Key::guarding("whitelist-source-range", value::whitelist_source_range),
    Key::moot("worker-cpu-affinity", "the kernel places the workers"),
    Key::moot("worker-processes", "use --workers"),
    Key::honoured("worker-shutdown-timeout", connection::worker_shutdown_timeout)
        .differing("without it 30 seconds (`--drain-timeout`), not 240: pods have 30 by default before they are killed"),
];
