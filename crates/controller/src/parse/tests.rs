#![allow(clippy::unwrap_used, reason = "a test may panic")]

use edgeward_routing::endpoint::Readiness;
use proptest::prelude::*;

use super::*;
use crate::object::{IngressBackend, IngressTls, LegacyVersion, PortRef, SliceEndpoint};

fn read(text: &str) -> Parsed {
    parse("m.yaml", text).unwrap()
}

/// The only object of a text that has nothing wrong with it.
#[track_caller]
fn object(text: &str) -> Object {
    let mut parsed = read(text);
    assert_eq!(parsed.diagnostics, []);
    assert_eq!(parsed.objects.len(), 1);
    parsed.objects.remove(0).object
}

/// The diagnostics as `CODE line:column field: message`.
fn complaints(text: &str) -> Vec<String> {
    let show = |diagnostic: &Diagnostic| {
        let at = diagnostic.location.as_ref().unwrap();
        let field = diagnostic.origin.as_ref().map_or("-", |origin| &origin.field);
        format!("{} {}:{} {field}: {}", diagnostic.code, at.line, at.column, diagnostic.message)
    };
    read(text).diagnostics.iter().map(show).collect()
}

#[track_caller]
fn assert_complaint(text: &str, expected: &str) {
    assert_eq!(complaints(text), [expected], "{text}");
}

fn names(parsed: &Parsed) -> Vec<String> {
    let show = |placed: &Placed| format!("{} {}", placed.object.kind().name(), placed.object.name());
    parsed.objects.iter().map(show).collect()
}

const INGRESS: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  creationTimestamp: 2024-05-01T12:00:00Z
  annotations:
    nginx.ingress.kubernetes.io/ssl-redirect: \"true\"
    empty:
    kubectl.kubernetes.io/last-applied-configuration: '{}'
spec:
  ingressClassName: nginx
  defaultBackend:
    resource: {apiGroup: k8s.example.com, kind: Bucket, name: icons}
  tls:
  - hosts: [a.example.com]
    secretName: a-tls
  - {}
  rules:
  - host: a.example.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: web, port: {number: 80}}}
      - backend: {service: {name: web, port: {name: http}}}
      - backend: {service: {name: web}}
      - backend:
  - host: b.example.com
    http: {paths: }
  - unknown: field
";

#[test]
fn an_ingress_is_read_whole() {
    let Object::Ingress(ingress) = object(INGRESS) else { panic!("not an Ingress") };
    assert_eq!(ingress.meta.name.to_string(), "shop/web");
    assert_eq!(ingress.meta.created, Some(1_714_564_800));
    let annotations: Vec<_> = ingress.meta.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(annotations, ["empty=", "nginx.ingress.kubernetes.io/ssl-redirect=true"]);
    assert_eq!(ingress.legacy, None);
    assert_eq!(ingress.class_name.as_deref(), Some("nginx"));
    let bucket = IngressBackend::Resource { kind: "Bucket".into(), name: "icons".into() };
    assert_eq!(ingress.default_backend, Some(bucket));
    let tls = |hosts: &[&str], secret: Option<&str>| IngressTls {
        hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        secret_name: secret.map(str::to_owned),
    };
    assert_eq!(ingress.tls, [tls(&["a.example.com"], Some("a-tls")), tls(&[], None)]);
    let service = |port| IngressBackend::Service { name: "web".into(), port };
    let paths = ingress.rules[0].paths.as_ref().unwrap();
    let backends: Vec<_> = paths.iter().map(|path| path.backend.clone()).collect();
    let expected = [
        service(PortRef::Number(80)),
        service(PortRef::Name("http".into())),
        service(PortRef::Missing),
        IngressBackend::Missing,
    ];
    assert_eq!(backends, expected);
    assert_eq!((paths[0].path.as_str(), paths[0].path_type.as_deref()), ("/", Some("Prefix")));
    assert_eq!((paths[1].path.as_str(), paths[1].path_type.as_deref()), ("", None));
    assert_eq!(ingress.rules[1].paths.as_deref(), Some(&[][..]));
    assert_eq!((ingress.rules[2].host.as_str(), &ingress.rules[2].paths), ("", &None));
}

const LEGACY: &str = "\
apiVersion: extensions/v1beta1
kind: Ingress
metadata:
  name: old
  labels: {app: \"1\"}
  annotations:
    kubernetes.io/ingress.class: nginx
    note: \"yes\"
spec:
  backend: {serviceName: fallback, servicePort: 8080}
  rules:
  - host: \"*.example.com\"
    http:
      paths:
      - path: /a
        backend: {serviceName: a, servicePort: http}
      - pathType: Exact
        path: /b
        backend:
          serviceName: b
          servicePort: \"80\"
status: {}
";

#[test]
fn a_removed_api_version_is_converted_and_its_modern_form_shown() {
    let parsed = read(LEGACY);
    let Object::Ingress(ingress) = &parsed.objects[0].object else { panic!("not an Ingress") };
    assert_eq!(ingress.legacy, Some(LegacyVersion::ExtensionsV1beta1));
    let service = |name: &str, port| IngressBackend::Service { name: name.into(), port };
    assert_eq!(ingress.default_backend, Some(service("fallback", PortRef::Number(8080))));
    let paths = ingress.rules[0].paths.as_ref().unwrap();
    assert_eq!(paths[0].backend, service("a", PortRef::Name("http".into())));
    assert_eq!(paths[1].backend, service("b", PortRef::Name("80".into())));

    let [diagnostic] = &parsed.diagnostics[..] else { panic!("{:?}", parsed.diagnostics) };
    assert_eq!((diagnostic.severity, diagnostic.code), (Severity::Warning, "RemovedApiVersion"));
    assert_eq!(diagnostic.location.as_ref().map(|at| (at.line, at.column)), Some((1, 13)));
    let modern = diagnostic.mend.strip_prefix("write it as\n").unwrap();
    let expected = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: old
  labels:
    app: \"1\"
  annotations:
    note: \"yes\"
spec:
  ingressClassName: nginx
  defaultBackend:
    service:
      name: fallback
      port:
        number: 8080
  rules:
  - host: \"*.example.com\"
    http:
      paths:
      - path: /a
        pathType: ImplementationSpecific
        backend:
          service:
            name: a
            port:
              name: http
      - pathType: Exact
        path: /b
        backend:
          service:
            name: b
            port:
              number: 80
";
    assert_eq!(modern, expected);
    assert!(read(modern).diagnostics.is_empty());
}

#[test]
fn other_removed_versions_are_read_too() {
    let cases = [
        ("networking.k8s.io/v1beta1", "Ingress", "1.22"),
        ("networking.k8s.io/v1beta1", "IngressClass", "1.22"),
        ("discovery.k8s.io/v1beta1", "EndpointSlice", "1.25"),
    ];
    for (api_version, kind, release) in cases {
        let text = format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n");
        let message = format!("apiVersion {api_version} was removed in Kubernetes {release}");
        assert_eq!(read(&text).objects.len(), 1);
        assert!(complaints(&text)[0].contains(&message), "{:?}", complaints(&text));
    }
}

#[test]
fn a_service_is_read_whole() {
    let text = "\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: None
  ports:
  - {name: http, port: 80, targetPort: 8080, appProtocol: kubernetes.io/h2c}
  - {port: 53, protocol: UDP, targetPort: dns}
  - {port: 90, targetPort: 0}
";
    let Object::Service(service) = object(text) else { panic!("not a Service") };
    assert_eq!(service.meta.name.to_string(), "default/web");
    assert_eq!(service.external_name, None);
    let ports: Vec<_> =
        service.ports.iter().map(|port| (port.port, port.target_port.clone(), port.protocol.as_str())).collect();
    let expected =
        [(80, Some(PortRef::Number(8080)), "TCP"), (53, Some(PortRef::Name("dns".into())), "UDP"), (90, None, "TCP")];
    assert_eq!(ports, expected);

    let external = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {type: ExternalName, externalName: a.b}";
    let Object::Service(service) = object(external) else { panic!("not a Service") };
    assert_eq!(service.external_name.as_deref(), Some("a.b"));
}

#[test]
fn an_endpoint_slice_keeps_the_endpoints_that_can_be_used() {
    let text = "\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}, {port: }]
endpoints:
- addresses: [10.0.0.1, 10.0.0.2]
- {addresses: [10.0.0.3], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.0.0.4], conditions: {ready: false}}
- {addresses: [10.0.0.5], conditions: {ready: null}}
- {addresses: [10.0.0.6], conditions: {ready: false, serving: false, terminating: true}}
- {addresses: [10.0.0.7], conditions: {ready: false, terminating: true}}
- {addresses: [10.0.0.8], conditions: {ready: false, serving: true}}
";
    let Object::EndpointSlice(slice) = object(text) else { panic!("not an EndpointSlice") };
    assert_eq!(slice.service.as_deref(), Some("web"));
    assert_eq!(slice.ports.iter().map(|port| port.port).collect::<Vec<_>>(), [Some(8080), None]);
    let is = |last, readiness| SliceEndpoint { address: [10, 0, 0, last].into(), readiness };
    let expected = [(1, Readiness::Ready), (2, Readiness::Ready), (3, Readiness::Terminating), (5, Readiness::Ready)];
    assert_eq!(slice.endpoints, expected.map(|(last, readiness)| is(last, readiness)));
}

#[test]
fn a_slice_without_the_label_of_its_service_is_told_where_the_label_belongs() {
    let text = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: web-1\n  labels: {app: web}\n";
    let parsed = read(text);
    let [diagnostic] = &parsed.diagnostics[..] else { panic!("{:?}", parsed.diagnostics) };
    assert_eq!((diagnostic.severity, diagnostic.code), (Severity::Warning, "SliceWithoutService"));
    assert_eq!(diagnostic.origin.as_ref().unwrap().to_string(), "EndpointSlice default/web-1 metadata.labels");
    assert_eq!(diagnostic.location.as_ref().unwrap().line, 5);
    assert!(diagnostic.mend.contains("kubernetes.io/service-name"), "{}", diagnostic.mend);
    assert_eq!(parsed.objects.len(), 1);
}

#[test]
fn endpoints_become_a_slice_for_each_subset() {
    let text = "\
apiVersion: v1
kind: Endpoints
metadata: {name: web, namespace: shop}
subsets:
- addresses: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]
  notReadyAddresses: [{ip: 10.0.0.9}]
  ports: [{name: http, port: 8080}]
- addresses: [{ip: 10.0.0.2}]
  ports: [{name: http, port: 8081}]
";
    let parsed = read(text);
    assert_eq!(names(&parsed), ["EndpointSlice shop/web (Endpoints)", "EndpointSlice shop/web (Endpoints 2)"]);
    let Object::EndpointSlice(slice) = &parsed.objects[0].object else { panic!("not an EndpointSlice") };
    assert_eq!(slice.service.as_deref(), Some("web"));
    assert_eq!(slice.endpoints.len(), 2);
    let reference = parsed.objects[1].object.reference();
    let broken = read(&text.replace("8081", "none"));
    assert!(broken.failures[0].may_be(&reference));
}

#[test]
fn string_data_wins_over_data() {
    let text = "\
apiVersion: v1
kind: Secret
metadata: {name: s}
data:
  a: b2xk
  b: |
    bGlu
    ZXM=
  c:
stringData: {a: new}
";
    let Object::Secret(secret) = object(text) else { panic!("not a Secret") };
    let data: Vec<_> = secret.data.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
    assert_eq!(data, [("a", &b"new"[..]), ("b", b"lines"), ("c", b"")]);
}

#[test]
fn config_map_keys_may_be_numbers() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tcp}\ndata:\n  9000: default/web:80\n";
    let Object::ConfigMap(map) = object(text) else { panic!("not a ConfigMap") };
    assert_eq!(map.data["9000"], "default/web:80");
}

#[test]
fn cluster_scoped_objects_have_no_namespace() {
    let text = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx, namespace: x}\nspec: {controller: k8s.io/ingress-nginx}";
    let Object::IngressClass(class) = object(text) else { panic!("not an IngressClass") };
    assert_eq!((&*class.meta.name.namespace, class.controller.as_str()), ("", "k8s.io/ingress-nginx"));
}

#[test]
fn lists_json_and_many_documents_are_unrolled_in_order() {
    let service = |name: &str| format!("{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}}}");
    let cases = [
        (format!("---\n{}\n---\n# nothing\n---\n{}\n...\n", service("a"), service("b")), vec!["a", "b"]),
        (format!("apiVersion: v1\nkind: List\nitems:\n- {}\n-\n- {}\n", service("a"), service("b")), vec!["a", "b"]),
        ("apiVersion: v1\nkind: List\nitems:\n".to_owned(), vec![]),
        ("apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: a}\n".to_owned(), vec!["a"]),
        (
            "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Service\",\n\t\"metadata\": {\"name\": \"a\"}\n}".to_owned(),
            vec!["a"],
        ),
        ("\u{feff}apiVersion: v1\r\nkind: Service\r\nmetadata:\r\n  name: a\r\n".to_owned(), vec!["a"]),
        (String::new(), vec![]),
    ];
    for (text, expected) in cases {
        let parsed = read(&text);
        assert_eq!(parsed.diagnostics, [], "{text}");
        let expected: Vec<_> = expected.iter().map(|name| format!("Service default/{name}")).collect();
        assert_eq!(names(&parsed), expected, "{text}");
    }
}

#[test]
fn kinds_that_are_not_watched_are_counted() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n";
    let foreign = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\n";
    let parsed = read(&format!("{deployment}---\n{deployment}---\n{foreign}"));
    assert_eq!(parsed.diagnostics, []);
    let skipped: Vec<_> = parsed.skipped.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(skipped, [("apps/v1 Deployment", 2), ("serving.knative.dev/v1 Service", 1)]);
}

#[test]
fn what_is_not_an_object_of_ours_is_said() {
    let cases = [
        (
            "apiVersion: networking.k8s.io/v2\nkind: Ingress\nmetadata: {name: a}",
            "UnknownApiVersion 1:1 -: Ingress is not known in apiVersion \"networking.k8s.io/v2\", so the object is skipped",
        ),
        ("- a\n- b", "NotAnObject 1:1 -: the document is no Kubernetes object: it has no apiVersion and kind"),
        ("replicas: 1", "NotAnObject 1:1 -: the document is no Kubernetes object: it has no apiVersion and kind"),
        ("apiVersion: v1\nmetadata: {}", "NotAnObject 1:1 -: the document is no Kubernetes object: it has no kind"),
    ];
    for (text, expected) in cases {
        assert_complaint(text, expected);
    }
    assert_eq!(read("replicas: 1").diagnostics[0].severity, Severity::Warning);
    assert_eq!(read("kind: Ingress").diagnostics[0].severity, Severity::Error);
}

#[test]
fn a_wrong_shape_is_named_with_its_place() {
    let ingress = |rest: &str| format!("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: a\n{rest}");
    let of = |kind: &str, rest: &str| format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\n{rest}");
    let cases = [
        (
            ingress("spec:\n  rules:\n  - http:\n      paths:\n      - backend: {service: {name: x, port: {number: \"80\"}}}"),
            "InvalidField 9:53 spec.rules[0].http.paths[0].backend.service.port.number: spec.rules[0].http.paths[0].backend.service.port.number must be a number, and what stands there is a string",
        ),
        (
            ingress("spec:\n  rules:\n  - host: 1\n"),
            "InvalidField 7:11 spec.rules[0].host: spec.rules[0].host must be a string, and what stands there is a number",
        ),
        (
            ingress("spec:\n  rules: {host: a}\n"),
            "InvalidField 6:3 spec.rules: spec.rules must be a list, and what stands there is a mapping",
        ),
        (
            ingress("spec:\n- rules\n"),
            "InvalidField 5:1 spec: spec must be a mapping, and what stands there is a list",
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: a\n  annotations:\n    x/ssl-redirect: true\n".to_owned(),
            "InvalidField 6:5 metadata.annotations[x/ssl-redirect]: metadata.annotations[x/ssl-redirect] must be a string, and what stands there is a boolean",
        ),
        (
            of("Service", "spec:\n  ports:\n  - name: http\n"),
            "InvalidField 6:5 spec.ports[0].port: spec.ports[0].port is missing",
        ),
        (
            of("Service", "spec:\n  ports:\n  - port: 70000\n"),
            "InvalidField 6:11 spec.ports[0].port: spec.ports[0].port is out of range",
        ),
        (
            of("Secret", "data:\n  tls.key: not*base64\n"),
            "InvalidField 5:3 data[tls.key]: data[tls.key] is not valid base64",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, creationTimestamp: soon}".to_owned(),
            "InvalidField 3:40 metadata.creationTimestamp: metadata.creationTimestamp is no RFC 3339 time",
        ),
        (
            "apiVersion: v1\nkind: Service\nspec: {}".to_owned(),
            "InvalidField 1:1 -: Service without a usable name: metadata.name is missing",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata:\n  generateName: web-\n".to_owned(),
            "InvalidField 3:1 -: Service without a usable name: metadata.generateName has a meaning only where the API server makes a name of it",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: \"a (Endpoints)\"\n".to_owned(),
            "InvalidField 4:9 -: Service without a usable name: metadata.name is no name that Kubernetes accepts",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  namespace: A_B\n".to_owned(),
            "InvalidField 5:14 -: Service without a usable name: metadata.namespace is no name that Kubernetes accepts",
        ),
    ];
    for (text, expected) in cases {
        assert_complaint(&text, expected);
        let parsed = read(&text);
        assert!(parsed.objects.is_empty() && parsed.failures.len() == 1, "{text}");
    }
}

#[test]
fn one_bad_object_costs_no_other() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {}}\n- {apiVersion: v1, kind: Service, metadata: {name: b}}\n";
    let parsed = read(text);
    assert_eq!(names(&parsed), ["Service default/b"]);
    assert_eq!(parsed.diagnostics.len(), 1);
}

#[test]
fn a_mistake_in_a_part_leaves_the_object() {
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a, labels: {kubernetes.io/service-name: a}}\naddressType: IPv4\nendpoints:\n- addresses: [localhost, 10.0.0.1]\n";
    assert_complaint(
        slice,
        "UnusableAddress 6:15 endpoints[0].addresses[0]: endpoints[0].addresses[0] is no IP address",
    );
    assert_eq!(read(slice).objects.len(), 1);
    let fqdn = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a, labels: {kubernetes.io/service-name: a}}\naddressType: FQDN\nendpoints:\n- addresses: [a.example.com]\n";
    assert_complaint(
        fqdn,
        "UnusableAddress 4:14 addressType: an EndpointSlice with addressType FQDN has no address that can be connected to",
    );
    let mixed =
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec:\n  backend:\n    serviceName: x\n";
    assert_complaint(
        mixed,
        "MisplacedField 5:3 spec.backend: spec.backend is a field of another apiVersion and has no effect in this one",
    );
}

#[test]
fn a_bad_value_of_a_config_map_costs_its_own_key() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: options, labels: {}, annotations: {a: 1}}\ndata:\n  hsts-max-age: 300\n  hsts: \"false\"\n";
    let Object::ConfigMap(map) = &read(text).objects[0].object else { panic!("not a ConfigMap") };
    assert_eq!(map.data.keys().collect::<Vec<_>>(), ["hsts"]);
    assert_eq!(map.unreadable.iter().collect::<Vec<_>>(), ["hsts-max-age"]);
    assert_eq!(
        complaints(text),
        [
            "InvalidField 3:53 metadata.annotations[a]: metadata.annotations[a] must be a string, and what stands there is a number",
            "InvalidField 5:3 data[hsts-max-age]: data[hsts-max-age] must be a string, and what stands there is a number",
        ]
    );
}

#[test]
fn a_syntax_error_has_its_place_and_quotes_nothing() {
    let cases = [
        ("a: [", (1, 4)),
        ("kind: Secret\ndata:\n  key: \"c2VjcmV0", (3, 8)),
        ("kind: Secret\nkind: Service\n", (2, 1)),
        ("a:\n\t- b\n", (2, 2)),
        ("é: ü: c2VjcmV0\n", (1, 5)),
        ("a: {{ .Values.c2VjcmV0 }}\n", (1, 4)),
        ("a: *c2VjcmV0\n", (1, 4)),
    ];
    for (text, (line, column)) in cases {
        let error = parse("m.yaml", text).unwrap_err();
        assert_eq!(error.at, Position { line, column }, "{text}");
        assert!(!error.message.contains("c2VjcmV0"), "{}", error.message);
    }
}

#[test]
fn short_texts_cannot_grow_large() {
    let bomb = format!("a: &a {}\nb:\n{}", "x".repeat(100_000), "- *a\n".repeat(9000));
    assert!(parse("m.yaml", &bomb).is_err());
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(parse("m.yaml", &deep).is_err());
    // What an alias stands for counts as nested where the alias is.
    let sixty = |inside: &str| format!("{}{inside}{}", "[".repeat(60), "]".repeat(60));
    assert!(parse("m.yaml", &format!("a: &a {}\nb: {}", sixty("x"), sixty("*a"))).is_err());
    let nested_lists = "{kind: List, items: [".repeat(40) + &"]}".repeat(40);
    assert!(parse("m.yaml", &nested_lists).unwrap().objects.is_empty());
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n";
    assert!(!format!("{:?}", read(text)).contains("hunter2"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        let _ = parse("m.yaml", &text);
    }

    #[test]
    fn no_change_of_a_manifest_makes_it_panic(
        legacy in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[\\-\\[\\]{}:,\"'|>&*!%#\t\n a0~<]{0,4}"), 1..6),
    ) {
        let mut text = if legacy { LEGACY } else { INGRESS }.to_owned();
        for (index, edit) in edits {
            let at = index.index(text.len());
            let end = (at + edit.len() / 2).min(text.len());
            text.replace_range(at..end, &edit);
        }
        if let Ok(parsed) = parse("m.yaml", &text) {
            let lines = text.lines().count() as u64;
            for diagnostic in parsed.diagnostics {
                let at = diagnostic.location.unwrap();
                prop_assert!((1..=lines + 1).contains(&at.line) && at.column >= 1);
            }
        }
    }

    #[test]
    fn the_modern_form_means_the_same(host in "[a-z*.0-9 #:'\"\\\\]{0,12}", path in "(?s).{0,12}", port in any::<u16>()) {
        let json = serde_json::json!({
            "apiVersion": "networking.k8s.io/v1beta1", "kind": "Ingress", "metadata": {"name": "a"},
            "spec": {"rules": [{"host": host, "http": {"paths": [
                {"path": path, "backend": {"serviceName": "s", "servicePort": port}}]}}]},
        });
        // Characters that YAML does not allow at all are refused, as in any manifest.
        let Ok(parsed) = parse("m.json", &json.to_string()) else { return Ok(()) };
        let modern = parsed.diagnostics[0].mend.strip_prefix("write it as\n").unwrap();
        let Object::Ingress(old) = &parsed.objects[0].object else { panic!("not an Ingress") };
        let mut new = read(modern);
        let Object::Ingress(new) = new.objects.remove(0).object else { panic!("not an Ingress") };
        prop_assert_eq!(new.legacy, None);
        prop_assert_eq!(&new.rules[0].host, &old.rules[0].host);
        let (new, old) = (&new.rules[0].paths.as_ref().unwrap()[0], &old.rules[0].paths.as_ref().unwrap()[0]);
        prop_assert_eq!(&new.path, &old.path);
        prop_assert_eq!(&new.backend, &old.backend);
        prop_assert_eq!(new.path_type.as_deref(), Some("ImplementationSpecific"));
    }
}
