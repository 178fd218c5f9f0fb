//! One mistake each, and what has to be said about it.

/// A mistake.
pub(super) struct Case {
    /// What is wrong.
    pub(super) what: &'static str,
    /// The file.
    pub(super) text: &'static str,
    /// The code of the diagnostic.
    pub(super) code: &'static str,
    /// Kind and name of the object that it is about; empty for a file.
    pub(super) object: &'static str,
    /// The field that it is about; empty where there is none.
    pub(super) field: &'static str,
    /// The line that it points to; 0 where several would do.
    pub(super) line: u64,
}

/// Stands in every Secret here and must never be seen anywhere.
pub(super) const MARK: &str = "dGhpcyBpcyBhIHNlY3JldA";

/// An Ingress with one rule, and its lines counted from 1: host in 7, path in 10, Service in 14, port in 16.
macro_rules! ingress {
    ($host:literal, $path:literal, $path_type:literal, $service:literal, $port:literal) => {
        concat!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: wrong\nspec:\n  rules:\n  - host: ",
            $host,
            "\n    http:\n      paths:\n      - path: ",
            $path,
            "\n        pathType: ",
            $path_type,
            "\n        backend:\n          service:\n            name: ",
            $service,
            "\n            port:\n              ",
            $port,
            "\n"
        )
    };
}

/// An Ingress of the bystander's Service with an annotation in line 6.
macro_rules! annotated {
    ($annotation:literal) => {
        concat!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: wrong\n  annotations:\n    ",
            $annotation,
            "\nspec:\n  defaultBackend:\n    service:\n      name: bystander\n      port:\n        number: 80\n"
        )
    };
}

/// An Ingress with a Secret for its host (named in line 8), and the Secret.
macro_rules! certified {
    ($secret:expr) => {
        concat!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: wrong\nspec:\n  tls:\n",
            "  - hosts: [wrong.test]\n    secretName: wrong\n  rules:\n  - host: wrong.test\n    http:\n      paths:\n",
            "      - path: /\n        pathType: Prefix\n        backend:\n          service:\n",
            "            name: bystander\n            port:\n              number: 80\n---\n",
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: wrong\ntype: kubernetes.io/tls\n",
            $secret
        )
    };
}

const fn case(
    what: &'static str,
    text: &'static str,
    (code, object): (&'static str, &'static str),
    field: &'static str,
    line: u64,
) -> Case {
    Case { what, text, code, object, field, line }
}

const FILE: (&str, &str) = ("UnreadableFile", "");
const SECRET: (&str, &str) = ("CertificateInvalid", "Ingress wrong");
const SECRET_FIELD: &str = "spec.tls[0].secretName";

pub(super) const CASES: &[Case] = &[
    // Files.
    case("an unclosed bracket", "apiVersion: v1\nkind: [Service\n", FILE, "", 0),
    case("a tab for indentation", "apiVersion: v1\nkind: Service\nmetadata:\n\tname: wrong\n", FILE, "", 4),
    case("a bad indentation", "apiVersion: v1\nkind: Service\nmetadata:\n  name: wrong\n namespace: x\n", FILE, "", 0),
    case("a key given twice", "apiVersion: v1\nkind: Service\nkind: Service\nmetadata: {name: wrong}\n", FILE, "", 3),
    case("an alias to nothing", "apiVersion: v1\nkind: *nothing\n", FILE, "", 2),
    case("a template that was not rendered", "apiVersion: v1\nkind: {{ .Values.kind }}\n", FILE, "", 0),
    case(
        "aliases that multiply",
        "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n\
         c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n\
         e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n\
         g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]\n",
        FILE,
        "",
        0,
    ),
    case("an object without a kind", "apiVersion: v1\nmetadata:\n  name: wrong\n", ("NotAnObject", ""), "", 1),
    case("a document that is a list", "- a\n- b\n", ("NotAnObject", ""), "", 1),
    case("a document that is a word", "hello\n", ("NotAnObject", ""), "", 1),
    case(
        "a version that does not exist",
        "apiVersion: networking.k8s.io/v9\nkind: Ingress\nmetadata: {name: wrong}\n",
        ("UnknownApiVersion", ""),
        "",
        1,
    ),
    // Ingresses.
    case(
        "an Ingress without a name",
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {}\nspec: {}\n",
        ("InvalidField", ""),
        "",
        3,
    ),
    case(
        "rules that are a word",
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: wrong\nspec:\n  rules: all\n",
        ("InvalidField", "Ingress wrong"),
        "spec.rules",
        6,
    ),
    case(
        "an Ingress that asks for nothing",
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: wrong\nspec: {}\n",
        ("EmptyIngress", "Ingress wrong"),
        "spec",
        0,
    ),
    case(
        "a host that is none",
        ingress!("not_a_host!", "/", "Prefix", "bystander", "number: 80"),
        ("InvalidHost", "Ingress wrong"),
        "spec.rules[0].host",
        7,
    ),
    case(
        "a wildcard in the middle",
        ingress!("a.*.test", "/", "Prefix", "bystander", "number: 80"),
        ("InvalidHost", "Ingress wrong"),
        "spec.rules[0].host",
        7,
    ),
    case(
        "a path without a slash",
        ingress!("wrong.test", "relative", "Prefix", "bystander", "number: 80"),
        ("InvalidPath", "Ingress wrong"),
        "spec.rules[0].http.paths[0].path",
        10,
    ),
    case(
        "a path type that is none",
        ingress!("wrong.test", "/", "Regex", "bystander", "number: 80"),
        ("InvalidPathType", "Ingress wrong"),
        "spec.rules[0].http.paths[0].pathType",
        11,
    ),
    case(
        "a Service that is not there",
        ingress!("wrong.test", "/", "Prefix", "nowhere", "number: 80"),
        ("ServiceNotFound", "Ingress wrong"),
        "spec.rules[0].http.paths[0].backend.service.name",
        14,
    ),
    case(
        "a port number that is not there",
        ingress!("wrong.test", "/", "Prefix", "bystander", "number: 81"),
        ("PortNotFound", "Ingress wrong"),
        "spec.rules[0].http.paths[0].backend.service.port.number",
        16,
    ),
    case(
        "a port name that is not there",
        ingress!("wrong.test", "/", "Prefix", "bystander", "name: grpc"),
        ("PortNotFound", "Ingress wrong"),
        "spec.rules[0].http.paths[0].backend.service.port.name",
        16,
    ),
    case(
        "a port that no number is large enough for",
        ingress!("wrong.test", "/", "Prefix", "bystander", "number: 99999999999999999999"),
        ("InvalidField", "Ingress wrong"),
        "spec.rules[0].http.paths[0].backend.service.port.number",
        16,
    ),
    case(
        "two Ingresses for the same path",
        concat!(
            ingress!("bystander.test", "/", "Prefix", "nowhere", "number: 80"),
            "---\n",
            ingress!("bystander.test", "/", "Prefix", "bystander", "number: 80")
        ),
        ("DuplicateObject", "Ingress wrong"),
        "",
        0,
    ),
    case(
        "a path that an older Ingress has",
        ingress!("bystander.test", "/", "Prefix", "bystander", "number: 80"),
        ("RouteConflict", "Ingress wrong"),
        "spec.rules[0].http.paths[0]",
        10,
    ),
    // Annotations.
    case(
        "a value that an annotation does not take",
        annotated!("nginx.ingress.kubernetes.io/proxy-body-size: plenty"),
        ("AnnotationInvalid", "Ingress wrong"),
        "metadata.annotations[nginx.ingress.kubernetes.io/proxy-body-size]",
        6,
    ),
    case(
        "an annotation that is not honoured",
        annotated!("nginx.ingress.kubernetes.io/fastcgi-index: index.php"),
        ("AnnotationNotHonoured", "Ingress wrong"),
        "metadata.annotations[nginx.ingress.kubernetes.io/fastcgi-index]",
        6,
    ),
    case(
        "an annotation that does not exist",
        annotated!("nginx.ingress.kubernetes.io/proxy-body-sise: 8m"),
        ("AnnotationUnknown", "Ingress wrong"),
        "metadata.annotations[nginx.ingress.kubernetes.io/proxy-body-sise]",
        6,
    ),
    case(
        "a guard that cannot be enforced",
        annotated!("nginx.ingress.kubernetes.io/auth-type: basic"),
        ("RouteClosed", "Ingress wrong"),
        "metadata.annotations[nginx.ingress.kubernetes.io/auth-type]",
        6,
    ),
    case(
        "an annotation that is no string",
        annotated!("nginx.ingress.kubernetes.io/ssl-redirect: [true]"),
        ("InvalidField", "Ingress wrong"),
        "metadata.annotations[nginx.ingress.kubernetes.io/ssl-redirect]",
        6,
    ),
    // Services and endpoints.
    case(
        "a Service without a port",
        concat!(
            ingress!("wrong.test", "/", "Prefix", "portless", "number: 80"),
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: portless\nspec: {}\n"
        ),
        ("PortNotFound", "Ingress wrong"),
        "spec.rules[0].http.paths[0].backend.service.port.number",
        16,
    ),
    case(
        "a Service port that is a word",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: wrong\nspec:\n  ports:\n  - port: eighty\n",
        ("InvalidField", "Service wrong"),
        "spec.ports[0].port",
        7,
    ),
    case(
        "a Service without endpoints",
        concat!(
            ingress!("wrong.test", "/", "Prefix", "empty", "number: 80"),
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: empty\nspec:\n  ports:\n  - port: 80\n"
        ),
        ("NoEndpoints", "Service empty"),
        "",
        0,
    ),
    case(
        "an endpoint that is no address",
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: wrong\n  labels:\n    \
         kubernetes.io/service-name: bystander\naddressType: IPv4\nports:\n- name: other\n  port: 80\nendpoints:\n\
         - addresses: [not-an-address]\n",
        ("UnusableAddress", "EndpointSlice wrong"),
        "endpoints[0].addresses[0]",
        12,
    ),
    // Secrets.
    case(
        "a Secret without a key",
        certified!("stringData: {tls.crt: dGhpcyBpcyBhIHNlY3JldA}\n"),
        SECRET,
        SECRET_FIELD,
        8,
    ),
    case(
        "a Secret with rubbish",
        certified!("stringData:\n  tls.crt: dGhpcyBpcyBhIHNlY3JldA\n  tls.key: dGhpcyBpcyBhIHNlY3JldA\n"),
        SECRET,
        SECRET_FIELD,
        8,
    ),
    case(
        "a Secret with PEM around rubbish",
        certified!(
            "stringData:\n  tls.crt: |\n    -----BEGIN CERTIFICATE-----\n    dGhpcyBpcyBhIHNlY3JldA==\n    \
             -----END CERTIFICATE-----\n  tls.key: |\n    -----BEGIN PRIVATE KEY-----\n    dGhpcyBpcyBhIHNlY3JldA==\n    \
             -----END PRIVATE KEY-----\n"
        ),
        SECRET,
        SECRET_FIELD,
        8,
    ),
    case(
        "a Secret whose data is no base64",
        certified!("data:\n  tls.crt: '!!! dGhpcyBpcyBhIHNlY3JldA !!!'\n  tls.key: '!!!'\n"),
        ("InvalidField", "Secret wrong"),
        "data[tls.crt]",
        27,
    ),
    case("a Secret without anything in it", certified!("data: {}\n"), SECRET, SECRET_FIELD, 8),
    case(
        "a Secret in another namespace",
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: wrong\nspec:\n  tls:\n\
         \x20 - hosts: [wrong.test]\n    secretName: bystander-elsewhere\n  rules:\n  - host: wrong.test\n",
        ("SecretNotFound", "Ingress wrong"),
        SECRET_FIELD,
        8,
    ),
];
