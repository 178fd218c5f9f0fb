//! The configuration of nginx that ingress-nginx would write for a case: the servers and locations of its nginx.tmpl, as far
//! as Debian's nginx can have them. What its Lua does is said with `map` and `if`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::case::{Case, PathRule, Rules};

/// Where everything is.
#[derive(Debug)]
pub(super) struct Layout {
    /// Where nginx listens.
    pub(super) nginx: SocketAddr,
    /// Where it listens as the default backend.
    pub(super) default: SocketAddr,
    /// Services by name.
    pub(super) services: Vec<(String, SocketAddr)>,
    /// A file with names and passwords.
    pub(super) users: String,
}

/// What is the same for all hosts. The values are the defaults of ingress-nginx.
const GLOBAL: &str = r#"
default_type text/html;
server_tokens off;
keepalive_timeout 75s;
client_header_buffer_size 1k;
large_client_header_buffers 4 8k;
client_body_buffer_size 8k;
server_names_hash_max_size 4096;
server_names_hash_bucket_size 128;
variables_hash_max_size 8192;
map_hash_bucket_size 256;
underscores_in_headers off;
ignore_invalid_headers on;
limit_req_status 503;
limit_conn_status 503;
uninitialized_variable_warn off;
server_name_in_redirect off;
port_in_redirect off;
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
map $http_x_request_id $req_id { default $http_x_request_id; "" $request_id; }
# lua_ingress.lua: the target without a slash at its very end, the host up to its port, and the host that the client named.
map $request_uri $target_without_slash { default $request_uri; "~^(?<without>.*)/$" $without; }
map $http_host $host_without_port { default $host; "~^(?<name>[^:]+)" $name; }
map $http_host $best_http_host { default $http_host; "" $host; }
map $cors $is_granted { default 0; true 1; trueoptions 1; }
"#;

/// The `http` block.
pub(super) fn http(cases: &[Case], layout: &Layout) -> String {
    let mut text = GLOBAL.to_owned();
    // Writing to a String cannot fail, here and below.
    for (name, address) in &layout.services {
        let _ = writeln!(text, "upstream {name} {{ server {address}; keepalive 32; }}");
    }
    let default = layout.default;
    let _ = writeln!(text, "upstream {DEFAULT} {{ server {default}; }}");
    for listen in [layout.nginx, default] {
        let _ = writeln!(text, "server {{ listen {listen} default_server; location / {{ return 404; }} }}");
    }
    for case in cases {
        for (at, rules) in case.ingresses.iter().enumerate() {
            let id = case.ingress_name(at).replace('-', "_");
            zones(&mut text, &id, rules);
            cors_maps(&mut text, &id, rules);
        }
        server(&mut text, case, layout);
    }
    text
}

/// `filterRateLimits` and `buildRateLimitZones`.
fn zones(text: &mut String, id: &str, rules: &Rules) {
    let _ = write!(text, "geo $remote_addr $exempt_{id} {{ default 0;");
    for network in rules.annotation("limit-allowlist").into_iter().flat_map(|list| list.split(',')) {
        let _ = write!(text, " {} 1;", network.trim());
    }
    let _ = writeln!(text, " }}\nmap $exempt_{id} $limit_{id} {{ 0 $binary_remote_addr; 1 \"\"; }}");
    if rules.annotation("limit-connections").is_some() {
        let _ = writeln!(text, "limit_conn_zone $limit_{id} zone={id}_conn:1m;");
    }
    for (annotation, unit) in [("limit-rps", "s"), ("limit-rpm", "m")] {
        if let Some(rate) = rules.annotation(annotation) {
            let _ = writeln!(text, "limit_req_zone $limit_{id} zone={id}_{unit}:1m rate={rate}r/{unit};");
        }
    }
}

/// What `more_set_headers` of the template says where an origin may ask: the value here, and that of the application where it
/// may not.
fn cors_maps(text: &mut String, id: &str, rules: &Rules) {
    for (name, value) in cors_fields(rules) {
        let variable = name.to_ascii_lowercase().replace('-', "_");
        let _ =
            writeln!(text, "map $is_granted ${variable}_{id} {{ 1 \"{value}\"; default $upstream_http_{variable}; }}");
    }
}

/// The fields of the template's CORS, with the defaults of cors/main.go.
fn cors_fields(rules: &Rules) -> Vec<(&'static str, String)> {
    if rules.annotation("enable-cors") != Some("true") {
        return Vec::new();
    }
    let value = |name: &str, default: &str| rules.annotation(name).unwrap_or(default).to_owned();
    let mut fields = vec![("Access-Control-Allow-Origin", "$http_origin".to_owned())];
    if rules.annotation("cors-allow-credentials") != Some("false") {
        fields.push(("Access-Control-Allow-Credentials", "true".to_owned()));
    }
    let methods = value("cors-allow-methods", "GET, PUT, POST, DELETE, PATCH, OPTIONS");
    fields.push(("Access-Control-Allow-Methods", methods));
    let headers = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,\
                   Authorization";
    fields.push(("Access-Control-Allow-Headers", value("cors-allow-headers", headers)));
    fields.extend(rules.annotation("cors-expose-headers").map(|v| ("Access-Control-Expose-Headers", v.to_owned())));
    fields.push(("Access-Control-Max-Age", value("cors-max-age", "1728000")));
    fields
}

/// A location: a rule as `updateServerLocations` has it.
struct Location {
    path: String,
    is_exact: bool,
    service: &'static str,
    /// The number of its Ingress.
    by: usize,
}

/// The Service of what no rule takes.
const DEFAULT: &str = "default";

fn rewrites(rules: &Rules, path: &str) -> bool {
    rules.annotation("rewrite-target").is_some_and(|target| target != path)
}

fn has_regex(rules: &Rules) -> bool {
    rules.annotation("use-regex") == Some("true")
}

/// The locations of a server, in the order of the original: the longest path first, each Prefix beside an exact location.
fn locations(case: &Case) -> Vec<Location> {
    let mut rules: Vec<(&PathRule, usize)> = Vec::new();
    for (at, ingress) in case.ingresses.iter().enumerate() {
        rules.extend(ingress.paths.iter().map(|rule| (rule, at)));
    }
    rules.sort_by(|(a, _), (b, _)| (b.path.len(), &b.path).cmp(&(a.path.len(), &a.path)));
    let is_exact = |rule: &PathRule| rule.path_type == "Exact";
    let mut locations = Vec::new();
    for &(rule, at) in &rules {
        let location =
            |path: &str, is_exact| Location { path: path.to_owned(), is_exact, service: rule.service, by: at };
        let ingress = &case.ingresses[at];
        if rule.path == "/" || is_exact(rule) || rewrites(ingress, &rule.path) || has_regex(ingress) {
            locations.push(location(&rule.path, is_exact(rule)));
            continue;
        }
        let below = if rule.path.ends_with('/') { rule.path.clone() } else { format!("{}/", rule.path) };
        locations.push(location(&below, false));
        if !rules.iter().any(|(other, _)| is_exact(other) && other.path == rule.path) {
            locations.push(location(&rule.path, true));
        }
    }
    if !rules.iter().any(|(rule, _)| rule.path == "/" && !is_exact(rule)) {
        // With the annotations of the Ingress that named the host first.
        locations.push(Location { path: "/".to_owned(), is_exact: false, service: DEFAULT, by: 0 });
    }
    locations
}

fn server(text: &mut String, case: &Case, layout: &Layout) {
    let (host, listen) = (case.host(), layout.nginx);
    for rules in &case.ingresses {
        if rules.annotation("from-to-www-redirect") == Some("true") {
            let from = host.strip_prefix("www.").map_or(format!("www.{host}"), str::to_owned);
            let to = "$scheme://{host}:$server_port$target_without_slash".replace("{host}", &host);
            let _ = writeln!(text, "server {{ listen {listen}; server_name \"{from}\"; return 308 {to}; }}");
        }
    }
    let _ = writeln!(text, "server {{\nlisten {listen};\nserver_name \"{host}\";");
    for (at, rules) in case.ingresses.iter().enumerate() {
        if let Some(target) = rules.annotation("mirror-target") {
            let authority = target.split("://").nth(1).unwrap_or_default();
            let own = authority.split(['/', ':', '$']).next().unwrap_or_default();
            let host = rules.annotation("mirror-host").unwrap_or(own);
            let name = case.ingress_name(at);
            let _ = writeln!(
                text,
                "location = \"/_mirror-{name}\" {{ internal; proxy_set_header Host \"{host}\"; proxy_pass \"{target}\"; }}"
            );
        }
        if let Some(root) = rules.annotation("app-root") {
            let _ = writeln!(text, "if ($uri = /) {{ return 302 $scheme://$http_host{root}; }}");
        }
    }
    // A target is another path than `/` of what no rule takes.
    let is_regex = case.ingresses.iter().any(|rules| has_regex(rules) || rules.annotation("rewrite-target").is_some());
    for location in locations(case) {
        let quoted = quoted(&location.path);
        let _ = match (is_regex, location.is_exact) {
            (true, _) => writeln!(text, "location ~* \"^{quoted}\" {{"),
            (false, true) => writeln!(text, "location = \"{quoted}\" {{"),
            (false, false) => writeln!(text, "location \"{quoted}\" {{"),
        };
        let rules = &case.ingresses[location.by];
        directives(text, &case.ingress_name(location.by), rules, &location, layout);
        text.push_str("}\n");
    }
    text.push_str("}\n");
}

/// `sanitizeQuotedRegex`
fn quoted(path: &str) -> String {
    path.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The headers that the template sets, with their variables.
const SET_HEADERS: &[(&str, &str)] = &[
    ("Upgrade", "$http_upgrade"),
    ("Connection", "$connection_upgrade"),
    ("X-Request-ID", "$req_id"),
    ("X-Real-IP", "$remote_addr"),
    ("X-Forwarded-For", "$remote_addr"),
    ("X-Forwarded-Host", "$best_http_host"),
    ("X-Forwarded-Port", "$server_port"),
    ("X-Forwarded-Proto", "$scheme"),
    ("X-Forwarded-Scheme", "$scheme"),
    ("X-Scheme", "$scheme"),
    ("X-Original-Forwarded-For", "$http_x_forwarded_for"),
    ("X-Original-Forwarded-Host", "$http_x_forwarded_host"),
    ("Proxy", "\"\""),
];

/// What is in a location.
fn directives(text: &mut String, id: &str, rules: &Rules, location: &Location, layout: &Layout) {
    let mut say = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    let value = |name: &str| rules.annotation(name);
    let is_on = |name: &str| value(name) == Some("true");
    if value("mirror-target").is_some() {
        say(&format!("mirror \"/_mirror-{id}\";"));
        say(&format!("mirror_request_body {};", value("mirror-request-body").unwrap_or("on")));
    }
    say(&format!("port_in_redirect {};", if is_on("use-port-in-redirects") { "on" } else { "off" }));
    for network in value("denylist-source-range").into_iter().flat_map(|list| list.split(',')) {
        say(&format!("deny {};", network.trim()));
    }
    if let Some(list) = value("allowlist-source-range") {
        list.split(',').for_each(|network| say(&format!("allow {};", network.trim())));
        say("deny all;");
    }
    cors(&mut say, id, rules);
    if value("auth-type") == Some("basic") {
        say(&format!("auth_basic \"{}\";", value("auth-realm").unwrap_or("")));
        say(&format!("auth_basic_user_file {};", layout.users));
        say("proxy_set_header Authorization \"\";");
    }
    limits(&mut say, id, rules);
    say(&format!("client_max_body_size {};", value("proxy-body-size").unwrap_or("1m")));
    match value("upstream-vhost") {
        Some(host) => say(&format!("proxy_set_header Host \"{host}\";")),
        None => say("proxy_set_header Host $best_http_host;"),
    }
    SET_HEADERS.iter().for_each(|(name, value)| say(&format!("proxy_set_header {name} {value};")));
    say("proxy_buffering off;\nproxy_buffer_size 4k;\nproxy_buffers 4 4k;\nproxy_http_version 1.1;");
    say(&format!("proxy_cookie_domain {};", value("proxy-cookie-domain").unwrap_or("off")));
    say(&format!("proxy_cookie_path {};", value("proxy-cookie-path").unwrap_or("off")));
    if let Some(satisfy) = value("satisfy") {
        say(&format!("satisfy {satisfy};"));
    }
    if is_on("relative-redirects") {
        say("absolute_redirect off;");
    }
    for (annotation, code, default) in [
        ("temporal-redirect", "temporal-redirect-code", "302"),
        ("permanent-redirect", "permanent-redirect-code", "301"),
    ] {
        if let Some(url) = value(annotation) {
            say(&format!("return {} {url};", value(code).unwrap_or(default)));
        }
    }
    // Lua comes behind all rewrites; an `if` behind `break` would not be asked.
    if is_on("force-ssl-redirect") {
        let target = if is_on("preserve-trailing-slash") { "$request_uri" } else { "$target_without_slash" };
        say(&format!("if ($scheme = http) {{ return 308 https://$host_without_port{target}; }}"));
    }
    if let Some(target) = value("rewrite-target").filter(|target| *target != location.path) {
        say(&format!("rewrite \"(?i){}\" {target} break;", quoted(&location.path)));
        if let Some(prefix) = value("x-forwarded-prefix") {
            say(&format!("proxy_set_header X-Forwarded-Prefix \"{prefix}\";"));
        }
    }
    say(&format!("proxy_pass http://{};", location.service));
    match (value("proxy-redirect-from"), value("proxy-redirect-to")) {
        (None | Some("off"), _) => say("proxy_redirect off;"),
        (Some("default"), _) => say("proxy_redirect default;"),
        (Some(_), None | Some("off")) => {}
        (Some(from), Some(to)) => say(&format!("proxy_redirect {from} {to};")),
    }
}

fn cors(say: &mut impl FnMut(&str), id: &str, rules: &Rules) {
    let fields = cors_fields(rules);
    if fields.is_empty() {
        return;
    }
    let id = id.replace('-', "_");
    say("set $cors '';");
    match rules.annotation("cors-allow-origin").unwrap_or("*") {
        "*" => say("set $http_origin *;\nset $cors 'true';"),
        list => {
            let patterns: Vec<_> = list.split(',').map(|origin| origin_pattern(origin.trim())).collect();
            say(&format!("if ($http_origin ~* ({})$ ) {{ set $cors 'true'; }}", patterns.join("|")));
        }
    }
    say("if ($request_method = 'OPTIONS') { set $cors ${cors}options; }");
    for (name, _) in fields {
        say(&format!("proxy_hide_header {name};"));
        say(&format!("add_header {name} ${}_{id} always;", name.to_ascii_lowercase().replace('-', "_")));
    }
    say("if ($cors = 'trueoptions') { return 204; }");
}

/// `buildOriginRegex`
fn origin_pattern(origin: &str) -> String {
    let mut pattern = String::from("(");
    for c in origin.chars() {
        match c {
            '*' => pattern.push_str("[A-Za-z0-9\\-]+"),
            '.' | '+' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' | '\\' => pattern.extend(['\\', c]),
            _ => pattern.push(c),
        }
    }
    pattern + ")"
}

/// `buildRateLimit`
fn limits(say: &mut impl FnMut(&str), id: &str, rules: &Rules) {
    let number = |name: &str| rules.annotation(name).and_then(|value| value.parse::<u32>().ok());
    let zone = id.replace('-', "_");
    if let Some(most) = number("limit-connections") {
        say(&format!("limit_conn {zone}_conn {most};"));
    }
    let multiplier = number("limit-burst-multiplier").unwrap_or(5);
    for (annotation, unit) in [("limit-rps", "s"), ("limit-rpm", "m")] {
        if let Some(rate) = number(annotation) {
            say(&format!("limit_req zone={zone}_{unit} burst={} nodelay;", rate * multiplier));
        }
    }
}
