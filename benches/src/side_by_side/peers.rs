//! How each proxy is started: its program, its configuration, its arguments.

use std::ffi::OsString;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::args::Args;
use crate::packages;
use crate::site::{self, Site, Table};
use crate::subject::Kind;

const NGINX: &str = include_str!("../../peers/nginx.conf");
const HAPROXY: &str = include_str!("../../peers/haproxy.cfg");
const ENVOY: &str = include_str!("../../peers/envoy.yaml");
const TRAEFIK: &str = include_str!("../../peers/traefik.yaml");
const TRAEFIK_ROUTES: &str = include_str!("../../peers/traefik-routes.yaml");
const CADDY: &str = include_str!("../../peers/Caddyfile");

/// Where a proxy listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    /// For plain HTTP.
    pub(crate) http: SocketAddr,
    /// For TLS.
    pub(crate) https: Option<SocketAddr>,
    /// For those who ask whether it is ready.
    pub(crate) health: Option<SocketAddr>,
}

/// How a proxy is started.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The program.
    pub(crate) program: PathBuf,
    /// The argument that asks its version.
    pub(crate) version: Option<&'static str>,
    /// The arguments that start it.
    pub(crate) arguments: Vec<OsString>,
}

/// Writes the configuration of a proxy into the site's directory.
pub(crate) fn command(kind: Kind, site: &Site, args: &Args, at: Addresses) -> Result<Peer> {
    let peer = |program: &str| packages::find(program).with_context(|| format!("{program} is gone"));
    let file = |name: &str, template: &str| -> Result<OsString> {
        let port = |address: SocketAddr| address.port().to_string();
        let text = template
            .replace("@DIR@", &site.path("").to_string_lossy())
            .replace("@ORIGIN_PORT@", &port(site.origins.http))
            .replace("@GRPC_PORT@", &port(site.origins.grpc))
            .replace("@HTTP_PORT@", &port(at.http))
            .replace("@HTTPS_PORT@", &at.https.map(port).unwrap_or_default());
        Ok(site.write(name, &text)?.into())
    };
    let (program, version, arguments) = match kind {
        Kind::Nginx => {
            if site.table.is_for_peers {
                file("servers/table.conf", &nginx_servers(site.table))?;
            }
            (peer("nginx")?, Some("-v"), vec!["-c".into(), file("nginx.conf", NGINX)?])
        }
        Kind::Haproxy => {
            let (certificates, routes) = haproxy_table(site)?;
            let text = HAPROXY.replace("@CERTIFICATES@", certificates).replace("@ROUTES@", routes);
            (peer("haproxy")?, Some("-v"), vec!["-db".into(), "-f".into(), file("haproxy.cfg", &text)?])
        }
        Kind::Envoy => {
            let text = ENVOY.replace("@ROUTES@", &envoy_routes(site.table)?);
            let arguments = ["--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id", "-c"];
            let arguments = arguments.map(OsString::from).into_iter().chain([file("envoy.yaml", &text)?]);
            (packages::from_pypi("envoy")?, Some("--version"), arguments.collect())
        }
        Kind::Traefik => {
            ensure!(!site.table.is_for_peers, "Traefik has no tables here");
            file("traefik-routes.yaml", TRAEFIK_ROUTES)?;
            let configuration = ["--configfile=".into(), file("traefik.yaml", TRAEFIK)?].join("".as_ref());
            (packages::from_pypi("traefik")?, Some("version"), vec![configuration])
        }
        Kind::Caddy => {
            ensure!(!site.table.is_for_peers, "Caddy has no tables here");
            let arguments = ["run", "--adapter", "caddyfile", "--config"].map(OsString::from).into_iter();
            (packages::from_pypi("caddy")?, Some("version"), arguments.chain([file("Caddyfile", CADDY)?]).collect())
        }
        Kind::Floor => {
            let arguments = ["floor", "--listen", &at.http.to_string(), "--to", &site.origins.http.to_string()];
            (std::env::current_exe()?, None, arguments.map(OsString::from).into())
        }
        Kind::Edgeward => {
            let mut arguments: Vec<OsString> =
                vec!["serve".into(), "--manifests".into(), site.path("manifests").into()];
            let port = |address: SocketAddr| address.port().to_string();
            let options = [
                ("--workers", "1".to_owned()),
                ("--bind-address", at.http.ip().to_string()),
                ("--http-port", port(at.http)),
                ("--https-port", at.https.map(port).unwrap_or_default()),
                ("--healthz-port", at.health.map(port).unwrap_or_default()),
                ("--admin-address", site::free_address()?.to_string()),
                ("--healthz-host", at.http.ip().to_string()),
                ("--access-log", "off".to_owned()),
                // As the peers have it.
                ("--keepalive-requests", "0".to_owned()),
                // An empty one, rather than what this machine may have.
                ("--config", site.write("edgeward.yaml", "")?.display().to_string()),
            ];
            arguments.extend(options.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
            (edgeward(args)?, Some("version"), arguments)
        }
    };
    Ok(Peer { program, version, arguments })
}

/// A server for each host, beside the one that takes everything else.
fn nginx_servers(table: Table) -> String {
    let listen = "listen 127.0.0.1:@HTTP_PORT@; listen 127.0.0.1:@HTTPS_PORT@ ssl http2;";
    let locations = table
        .paths()
        .iter()
        .fold(String::new(), |text, path| text + &format!("location {path} {{ proxy_pass http://origin; }}\n"));
    site::lines(table.hosts(), |text, host| {
        let certificate = match table.own_certificates {
            true => format!("ssl_certificate @DIR@/certificates/{host}.pem; ssl_certificate_key @DIR@/key.pem;"),
            false => String::new(),
        };
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "server {{ {listen} server_name {host}; {certificate}\n{locations}}}");
    })
}

/// Further certificates of HAProxy, and its routes: by a map, where there is a table.
fn haproxy_table(site: &Site) -> Result<(&'static str, &'static str)> {
    let table = site.table;
    if !table.is_for_peers {
        return Ok(("", "default_backend origin"));
    }
    let paths = table.paths();
    let map = site::lines(table.hosts(), |text, host| {
        let lines: Vec<_> = paths.iter().map(|path| format!("{host}{} origin", path.trim_end_matches('/'))).collect();
        text.push_str(&lines.join("\n"));
    });
    site.write("routes.map", &map)?;
    let routes = match table.paths {
        1 => "use_backend %[req.hdr(host),field(1,:),lower,map(@DIR@/routes.map)]",
        _ => "use_backend %[base,lower,map_beg(@DIR@/routes.map)]",
    };
    Ok((if table.own_certificates { "crt @DIR@/certificates" } else { "" }, routes))
}

/// The routes of Envoy, which it tries one after another.
fn envoy_routes(table: Table) -> Result<String> {
    if !table.is_for_peers || table.paths == 1 {
        ensure!(!table.is_for_peers || table.hosts == 1, "Envoy has no tables of hosts here");
        return Ok("- {match: {prefix: \"/\"}, route: {cluster: origin}}".to_owned());
    }
    ensure!(table.hosts == 1, "Envoy has no tables of hosts here");
    let routes = table.paths().into_iter();
    let routes =
        routes.map(|path| format!("- {{match: {{path_separated_prefix: \"{path}\"}}, route: {{cluster: origin}}}}"));
    Ok(routes.collect::<Vec<_>>().join("\n              "))
}

/// The Edgeward to measure.
fn edgeward(args: &Args) -> Result<PathBuf> {
    let program = match &args.edgeward {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("edgeward"),
    };
    if program.is_file() {
        return Ok(program);
    }
    bail!("there is no {}: run `cargo build --release -p edgeward` first", program.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table { paths: 2, is_for_peers: true, ..Table::with_hosts(1) };

    #[test]
    fn nginx_has_a_server_for_each_host_and_a_location_for_each_path() {
        let text = nginx_servers(Table { hosts: 2, own_certificates: true, ..TABLE });
        assert_eq!(text.matches("server {").count(), 2);
        assert_eq!(text.matches("location /p00001 { proxy_pass http://origin; }").count(), 2);
        assert!(
            text.contains("server_name h00001.bench.test; ssl_certificate @DIR@/certificates/h00001.bench.test.pem;")
        );
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn envoy_has_its_routes_in_order_and_no_table_of_hosts() {
        let routes = envoy_routes(TABLE).expect("one host");
        let first = routes.lines().next().unwrap_or_default();
        assert_eq!(first, "- {match: {path_separated_prefix: \"/p00000\"}, route: {cluster: origin}}");
        assert_eq!(routes.lines().count(), 2);
        assert!(envoy_routes(Table { hosts: 2, ..TABLE }).is_err());
    }
}
