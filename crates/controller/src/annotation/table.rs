//! Every annotation of ingress-nginx v1.15.1, by name (its docs/user-guide/nginx-configuration/annotations-risk.md).

use edgeward_routing::policy::{BackendProtocol, BodySize};
use edgeward_routing::template::Template;

use super::value::{BOOL, SECONDS, parse_bool, parse_load_balance, parse_seconds};
use super::{Annotation, Guard, IngressSettings, Rejection, Scope};

pub(super) static TABLE: [Annotation; 136] = [
    Annotation::later(
        "affinity",
        Scope::Backend,
        "Keeps a client on one endpoint with a cookie (`cookie` is the only value).",
    )
    .meanwhile("every request is balanced by itself"),
    Annotation::later(
        "affinity-canary-behavior",
        Scope::Backend,
        "Whether affinity also holds between main and canary (`sticky`) or not (`legacy`).",
    ),
    Annotation::later(
        "affinity-mode",
        Scope::Backend,
        "Whether a client moves when endpoints are added (`balanced`) or stays (`persistent`).",
    ),
    Annotation::later("allowlist-source-range", Scope::Route, "Networks that may ask; everybody else gets 403.")
        .guarding(Guard::Present)
        .aliased(&["whitelist-source-range"]),
    Annotation::later("app-root", Scope::Host, "Path that `/` is redirected to with 302.")
        .meanwhile("`/` goes to the application"),
    Annotation::later(
        "auth-always-set-cookie",
        Scope::Route,
        "Whether cookies of the authentication service also reach the client when it refuses.",
    ),
    Annotation::later("auth-cache-duration", Scope::Route, "How long answers of the authentication service are kept."),
    Annotation::later("auth-cache-key", Scope::Route, "What answers of the authentication service are kept by."),
    Annotation::later("auth-keepalive", Scope::Route, "Number of idle connections kept to the authentication service."),
    Annotation::later(
        "auth-keepalive-requests",
        Scope::Route,
        "Requests on one connection to the authentication service.",
    ),
    Annotation::later(
        "auth-keepalive-share-vars",
        Scope::Route,
        "Whether the subrequest shares its variables with the request.",
    ),
    Annotation::later(
        "auth-keepalive-timeout",
        Scope::Route,
        "How long an idle connection to the authentication service is kept.",
    ),
    Annotation::later("auth-method", Scope::Route, "Method of the request to the authentication service."),
    Annotation::later("auth-proxy-set-headers", Scope::Route, "ConfigMap with headers for the authentication service."),
    Annotation::later("auth-realm", Scope::Route, "Realm that basic authentication shows."),
    Annotation::later("auth-request-redirect", Scope::Route, "What the authentication service is told to redirect to."),
    Annotation::later(
        "auth-response-headers",
        Scope::Route,
        "Headers of the authentication service's answer that go to the application.",
    )
    .meanwhile("the application does not get them"),
    Annotation::later("auth-secret", Scope::Route, "Secret with the users of basic or digest authentication."),
    Annotation::later("auth-secret-type", Scope::Route, "Whether that Secret is one htpasswd file or a map of users."),
    Annotation::later(
        "auth-signin",
        Scope::Route,
        "Where clients are sent that the authentication service does not know.",
    ),
    Annotation::later(
        "auth-signin-redirect-param",
        Scope::Route,
        "Query parameter of that page which holds the way back.",
    ),
    Annotation::refused("auth-snippet", Scope::Route, "nginx configuration for the authentication request.")
        .guarding(Guard::NotBlank),
    Annotation::later("auth-tls-error-page", Scope::Host, "Where clients without a valid certificate are sent."),
    Annotation::later("auth-tls-match-cn", Scope::Host, "Common name that client certificates must have."),
    Annotation::later(
        "auth-tls-pass-certificate-to-upstream",
        Scope::Host,
        "Whether the application gets the client's certificate in a header.",
    ),
    Annotation::later("auth-tls-secret", Scope::Host, "Secret with the CA whose client certificates are asked for.")
        .guarding(Guard::ClientCertificate),
    Annotation::later(
        "auth-tls-verify-client",
        Scope::Host,
        "Whether a client certificate must be there, may be there, or is not asked for.",
    ),
    Annotation::later("auth-tls-verify-depth", Scope::Host, "Longest chain of client certificates."),
    Annotation::later("auth-type", Scope::Route, "Asks for a user and password: `basic` or `digest`.")
        .guarding(Guard::NotBlank),
    Annotation::later("auth-url", Scope::Route, "Asks this service whether a request may pass.")
        .guarding(Guard::NotBlank),
    Annotation::honoured(
        "backend-protocol",
        Scope::Route,
        backend_protocol,
        "What the endpoints speak: HTTP, HTTPS, AUTO_HTTP, GRPC or GRPCS. FCGI is not spoken: its routes answer 503.",
    ),
    Annotation::later(
        "canary",
        Scope::Backend,
        "Marks an Ingress as the alternative of another one with the same hosts and paths.",
    ),
    Annotation::later(
        "canary-by-cookie",
        Scope::Backend,
        "Cookie that sends a client to the canary (`always`) or keeps it off (`never`).",
    ),
    Annotation::later("canary-by-header", Scope::Backend, "Header that sends a request to the canary."),
    Annotation::later("canary-by-header-pattern", Scope::Backend, "Pattern that the value of that header must match."),
    Annotation::later("canary-by-header-value", Scope::Backend, "Value that this header must have."),
    Annotation::later("canary-weight", Scope::Backend, "Share of requests that go to the canary."),
    Annotation::later("canary-weight-total", Scope::Backend, "What the weight is a share of."),
    Annotation::later("client-body-buffer-size", Scope::Route, "How much of a request body is kept in memory.")
        .meanwhile("bodies are streamed"),
    Annotation::refused("configuration-snippet", Scope::Route, "nginx configuration for the routes.")
        .guarding(Guard::NotBlank),
    Annotation::later("connection-proxy-header", Scope::Route, "Value of the `Connection` header to the application."),
    Annotation::later("cors-allow-credentials", Scope::Route, "Whether browsers may send credentials across origins."),
    Annotation::later("cors-allow-headers", Scope::Route, "Request headers that browsers may send across origins."),
    Annotation::later("cors-allow-methods", Scope::Route, "Methods that browsers may use across origins."),
    Annotation::later("cors-allow-origin", Scope::Route, "Origins that browsers may ask from."),
    Annotation::later("cors-expose-headers", Scope::Route, "Response headers that scripts of other origins may read."),
    Annotation::later("cors-max-age", Scope::Route, "How long browsers may keep the answer to a preflight."),
    Annotation::later("custom-headers", Scope::Route, "ConfigMap with response headers to add."),
    Annotation::later(
        "custom-http-errors",
        Scope::Route,
        "Statuses of the application that the default backend answers instead.",
    )
    .meanwhile("the application's own answers are passed on"),
    Annotation::later(
        "default-backend",
        Scope::Route,
        "Service that answers when the backend has no endpoint, and custom errors.",
    )
    .meanwhile("these requests are answered 503"),
    Annotation::later("denylist-source-range", Scope::Route, "Networks that get 403.").guarding(Guard::Present),
    Annotation::later(
        "disable-proxy-intercept-errors",
        Scope::Route,
        "Whether custom errors are off here although they are on for all.",
    ),
    Annotation::later("enable-access-log", Scope::Route, "Whether requests are logged.")
        .meanwhile("they are logged as everywhere"),
    Annotation::later("enable-cors", Scope::Route, "Answers preflights and adds CORS headers.")
        .meanwhile("preflights go to the application"),
    Annotation::later("enable-global-auth", Scope::Route, "Whether the global authentication service is asked here."),
    Annotation::refused("enable-modsecurity", Scope::Route, "Inspects requests with ModSecurity.")
        .guarding(Guard::True),
    Annotation::later("enable-opentelemetry", Scope::Route, "Whether requests are traced."),
    Annotation::refused("enable-owasp-core-rules", Scope::Route, "Loads the OWASP core rules into ModSecurity.")
        .guarding(Guard::True),
    Annotation::later("enable-rewrite-log", Scope::Route, "Whether nginx logs its rewrites."),
    Annotation::later("fastcgi-index", Scope::Route, "File name that FastCGI appends to a path that ends in a slash."),
    Annotation::later("fastcgi-params-configmap", Scope::Route, "ConfigMap with FastCGI parameters."),
    Annotation::honoured(
        "force-ssl-redirect",
        Scope::Route,
        force_ssl_redirect,
        "Redirects plain HTTP to HTTPS even where no certificate is configured.",
    ),
    Annotation::later(
        "from-to-www-redirect",
        Scope::Host,
        "Redirects the name with `www.` to the one without, or the other way round.",
    )
    .meanwhile("the other name answers 404"),
    Annotation::later("http2-push-preload", Scope::Route, "HTTP/2 push, which no browser takes any more."),
    Annotation::later("limit-allowlist", Scope::Route, "Networks that limits do not count.")
        .aliased(&["limit-whitelist"]),
    Annotation::later("limit-burst-multiplier", Scope::Route, "How far above its rate a client may burst."),
    Annotation::later("limit-connections", Scope::Route, "Requests that one client address may have under way.")
        .meanwhile("there is no such limit"),
    Annotation::later("limit-rate", Scope::Route, "Kilobytes per second that a response is sent with.")
        .meanwhile("responses are sent as fast as they come"),
    Annotation::later("limit-rate-after", Scope::Route, "Kilobytes after which that limit holds."),
    Annotation::later("limit-rpm", Scope::Route, "Requests per minute that one client address may send.")
        .meanwhile("there is no such limit"),
    Annotation::later("limit-rps", Scope::Route, "Requests per second that one client address may send.")
        .meanwhile("there is no such limit"),
    Annotation::honoured(
        "load-balance",
        Scope::Backend,
        load_balance,
        "How requests are spread over the endpoints: `round_robin` or `ewma`.",
    ),
    Annotation::later("mirror-host", Scope::Route, "`Host` header of mirrored requests."),
    Annotation::later("mirror-request-body", Scope::Route, "Whether mirrored requests have the body."),
    Annotation::later("mirror-target", Scope::Route, "Where a copy of every request is sent.")
        .meanwhile("nothing is mirrored"),
    Annotation::refused("modsecurity-snippet", Scope::Route, "Rules for ModSecurity.").guarding(Guard::NotBlank),
    Annotation::refused("modsecurity-transaction-id", Scope::Route, "Transaction identity for ModSecurity."),
    Annotation::later("opentelemetry-operation-name", Scope::Route, "Name of the span."),
    Annotation::later("opentelemetry-trust-incoming-span", Scope::Route, "Whether spans of the client are continued."),
    Annotation::later("permanent-redirect", Scope::Route, "Where every request is redirected to for good.")
        .meanwhile("requests go to the application"),
    Annotation::later("permanent-redirect-code", Scope::Route, "Status of that redirect."),
    Annotation::later(
        "preserve-trailing-slash",
        Scope::Route,
        "Whether the redirect to HTTPS keeps a slash at the end.",
    )
    .meanwhile("it drops one"),
    Annotation::honoured(
        "proxy-body-size",
        Scope::Route,
        body_size,
        "Largest request body, such as `8m`; `0` is without a limit. Larger ones are answered 413.",
    ),
    Annotation::later("proxy-buffer-size", Scope::Route, "Size of the buffer for response headers.")
        .meanwhile("it sizes itself"),
    Annotation::later("proxy-buffering", Scope::Route, "Whether responses are buffered.")
        .meanwhile("they are streamed"),
    Annotation::later("proxy-buffers-number", Scope::Route, "Number of response buffers.")
        .meanwhile("they size themselves"),
    Annotation::later("proxy-busy-buffers-size", Scope::Route, "How much may be under way to the client.")
        .meanwhile("it sizes itself"),
    Annotation::honoured(
        "proxy-connect-timeout",
        Scope::Route,
        connect_timeout,
        "Seconds to open a connection to an endpoint.",
    ),
    Annotation::later("proxy-cookie-domain", Scope::Route, "Replaces the domain of the application's cookies.")
        .meanwhile("they are passed on as they are"),
    Annotation::later("proxy-cookie-path", Scope::Route, "Replaces the path of the application's cookies.")
        .meanwhile("they are passed on as they are"),
    Annotation::later("proxy-http-version", Scope::Route, "HTTP version towards the endpoints.").meanwhile("it is 1.1"),
    Annotation::later("proxy-max-temp-file-size", Scope::Route, "Largest temporary file of a response.")
        .meanwhile("no files are written"),
    Annotation::later("proxy-next-upstream", Scope::Route, "Faults after which the next endpoint is tried.")
        .meanwhile("they are connect failures and lost connections"),
    Annotation::later("proxy-next-upstream-timeout", Scope::Route, "Time within which further endpoints are tried."),
    Annotation::later("proxy-next-upstream-tries", Scope::Route, "Number of endpoints that are tried."),
    Annotation::honoured(
        "proxy-read-timeout",
        Scope::Route,
        read_timeout,
        "Seconds between two reads of the response.",
    ),
    Annotation::later("proxy-redirect-from", Scope::Route, "What is replaced in `Location` of the application.")
        .meanwhile("it is passed on as it is"),
    Annotation::later("proxy-redirect-to", Scope::Route, "What it is replaced with."),
    Annotation::later("proxy-request-buffering", Scope::Route, "Whether request bodies are buffered.")
        .meanwhile("they are streamed"),
    Annotation::honoured(
        "proxy-send-timeout",
        Scope::Route,
        send_timeout,
        "Seconds between two writes of the request.",
    ),
    Annotation::later("proxy-ssl-ciphers", Scope::Backend, "TLS ciphers towards the endpoints."),
    Annotation::later("proxy-ssl-name", Scope::Backend, "Name that the endpoints' certificates must have."),
    Annotation::later("proxy-ssl-protocols", Scope::Backend, "TLS versions towards the endpoints."),
    Annotation::later(
        "proxy-ssl-secret",
        Scope::Backend,
        "Secret with the client certificate towards the endpoints and the CA of theirs.",
    )
    .meanwhile("no client certificate is shown"),
    Annotation::later("proxy-ssl-server-name", Scope::Backend, "Whether that name is sent in the handshake."),
    Annotation::later("proxy-ssl-verify", Scope::Backend, "Whether the endpoints' certificates are verified.")
        .guarding(Guard::On)
        .meanwhile("they are not verified"),
    Annotation::later("proxy-ssl-verify-depth", Scope::Backend, "Longest chain of the endpoints' certificates."),
    Annotation::later("relative-redirects", Scope::Route, "Whether redirects leave out scheme and host."),
    Annotation::later("rewrite-target", Scope::Route, "Path that the application gets instead.")
        .meanwhile("the application gets the path as it came"),
    Annotation::later("satisfy", Scope::Route, "Whether all guards must let a request pass or one is enough."),
    Annotation::later("server-alias", Scope::Host, "Further host names.").meanwhile("they answer 404"),
    Annotation::refused("server-snippet", Scope::Host, "nginx configuration for the hosts.").guarding(Guard::NotBlank),
    Annotation::later(
        "service-upstream",
        Scope::Backend,
        "Sends requests to the Service's address and not to its endpoints.",
    )
    .meanwhile("they go to the endpoints"),
    Annotation::later(
        "session-cookie-change-on-failure",
        Scope::Backend,
        "Whether the cookie is set anew when its endpoint fails.",
    ),
    Annotation::later(
        "session-cookie-conditional-samesite-none",
        Scope::Backend,
        "Whether old browsers get no `SameSite=None`.",
    ),
    Annotation::later("session-cookie-domain", Scope::Backend, "Domain of the affinity cookie."),
    Annotation::later("session-cookie-expires", Scope::Backend, "Seconds after which the affinity cookie expires."),
    Annotation::later("session-cookie-max-age", Scope::Backend, "`Max-Age` of the affinity cookie."),
    Annotation::later("session-cookie-name", Scope::Backend, "Name of the affinity cookie."),
    Annotation::later("session-cookie-path", Scope::Backend, "Path of the affinity cookie."),
    Annotation::later("session-cookie-samesite", Scope::Backend, "`SameSite` of the affinity cookie."),
    Annotation::later("session-cookie-secure", Scope::Backend, "Whether the affinity cookie is `Secure`."),
    Annotation::later("ssl-ciphers", Scope::Host, "TLS ciphers of the hosts."),
    Annotation::later("ssl-passthrough", Scope::Host, "Passes TLS through to the endpoints.")
        .meanwhile("TLS ends here"),
    Annotation::later("ssl-prefer-server-ciphers", Scope::Host, "Whether the order of those ciphers counts."),
    Annotation::honoured(
        "ssl-redirect",
        Scope::Route,
        ssl_redirect,
        "Redirects plain HTTP to HTTPS where the host has a certificate configured.",
    ),
    Annotation::refused("stream-snippet", Scope::Route, "nginx configuration for TCP and UDP.")
        .guarding(Guard::NotBlank),
    Annotation::later("temporal-redirect", Scope::Route, "Where every request is redirected to for now.")
        .meanwhile("requests go to the application"),
    Annotation::later("temporal-redirect-code", Scope::Route, "Status of that redirect."),
    Annotation::honoured(
        "upstream-hash-by",
        Scope::Backend,
        hash_by,
        "Text with variables whose hash picks the endpoint.",
    ),
    Annotation::later("upstream-hash-by-subset", Scope::Backend, "Whether the hash picks a group of endpoints."),
    Annotation::later("upstream-hash-by-subset-size", Scope::Backend, "Size of that group."),
    Annotation::later("upstream-vhost", Scope::Route, "`Host` header to the application.")
        .meanwhile("it gets the client's"),
    Annotation::later("use-port-in-redirects", Scope::Route, "Whether redirects name the port."),
    Annotation::later("use-regex", Scope::Route, "Whether paths are regular expressions.")
        .meanwhile("paths are plain text, so that one with a pattern in it matches almost nothing"),
    Annotation::later("x-forwarded-prefix", Scope::Route, "Value of `X-Forwarded-Prefix` to the application."),
];

fn invalid(allowed: &str) -> Rejection {
    Rejection::Invalid(allowed.to_owned())
}

fn ssl_redirect(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.ssl_redirect = Some(parse_bool(value).ok_or_else(|| invalid(BOOL))?);
    Ok(())
}

fn force_ssl_redirect(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.force_ssl_redirect = Some(parse_bool(value).ok_or_else(|| invalid(BOOL))?);
    Ok(())
}

fn backend_protocol(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("FCGI") {
        return Err(Rejection::Unserved("FastCGI is not spoken"));
    }
    let protocol = BackendProtocol::parse(value).ok_or_else(|| invalid("HTTP, HTTPS, AUTO_HTTP, GRPC or GRPCS"))?;
    settings.protocol = Some(protocol);
    Ok(())
}

fn body_size(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let size = BodySize::parse(value.trim());
    let size =
        size.ok_or_else(|| invalid("a number of bytes with an optional `k`, `m` or `g`, or `0` for no limit"))?;
    settings.body_size = Some(size);
    Ok(())
}

fn connect_timeout(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.connect_timeout = Some(parse_seconds(value).ok_or_else(|| invalid(SECONDS))?);
    Ok(())
}

fn send_timeout(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.send_timeout = Some(parse_seconds(value).ok_or_else(|| invalid(SECONDS))?);
    Ok(())
}

fn read_timeout(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.read_timeout = Some(parse_seconds(value).ok_or_else(|| invalid(SECONDS))?);
    Ok(())
}

/// An unknown value drops the whole Ingress in ingress-nginx (recorded: c280); here it is reported and the Ingress
/// stays.
fn load_balance(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let balance = parse_load_balance(value).ok_or_else(|| {
        invalid("`round_robin` or `ewma` (for hashing use `upstream-hash-by`, for least request `edgeward.dev/load-balance`)")
    })?;
    settings.backend.load_balance = Some(balance);
    Ok(())
}

fn hash_by(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let template = value.trim().parse::<Template>().map_err(|error| {
        Rejection::Invalid(format!("text with variables such as `$request_uri`, `$host` or `$http_x_user` ({error})"))
    })?;
    settings.backend.hash_by = Some(template);
    Ok(())
}
