#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn position(text: &str, kind: &'static str, namespace: &str, name: &str, field: &str) -> Option<(u64, u64)> {
    let origin = Origin::object(kind, namespace, name).at(field);
    locate(text, &origin).map(|at| (at.line, at.column))
}

const MANIFEST: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: web
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  annotations:
    nginx.ingress.kubernetes.io/proxy-body-size: 8m
spec:
  tls:
  - hosts:
    - ä.example.com
    secretName:
  rules:
  - host: a.example.com
    http:
      paths:
      - path: /
        backend:
          service: {name: web, port: {number: 80}}
      - path: /x
        backend: {}
";

#[test]
fn a_field_path_leads_to_its_place() {
    let cases = [
        ("", (6, 1)),
        ("metadata.annotations[nginx.ingress.kubernetes.io/proxy-body-size]", (12, 5)),
        ("metadata.annotations[missing]", (11, 3)),
        ("spec.tls", (14, 3)),
        ("spec.tls[0]", (15, 5)),
        ("spec.tls[0].hosts[0]", (16, 7)),
        ("spec.tls[0].secretName", (17, 5)),
        ("spec.tls[1].hosts", (14, 3)),
        ("spec.rules[0].host", (19, 11)),
        ("spec.rules[0].http.paths[0].path", (22, 15)),
        ("spec.rules[0].http.paths[0].backend.service.name", (24, 27)),
        ("spec.rules[0].http.paths[0].backend.service.port.number", (24, 47)),
        ("spec.rules[0].http.paths[0].backend.service.port.name", (24, 32)),
        ("spec.rules[0].http.paths[1].backend.service.port.number", (26, 9)),
        ("spec.ingressClassName", (13, 1)),
        ("status.loadBalancer", (6, 1)),
        ("spec.rules[0].host.deeper", (19, 11)),
        ("spec.rules[x", (18, 3)),
        ("..[[].", (6, 1)),
    ];
    for (field, expected) in cases {
        assert_eq!(position(MANIFEST, "Ingress", "shop", "web", field), Some(expected), "{field}");
    }
}

#[test]
fn an_object_is_found_by_kind_namespace_and_name() {
    assert_eq!(position(MANIFEST, "Service", "default", "web", "metadata.name"), Some((4, 9)));
    assert_eq!(position(MANIFEST, "Service", "shop", "web", ""), None);
    assert_eq!(position(MANIFEST, "Secret", "shop", "web", ""), None);
    assert_eq!(position("a: [", "Secret", "shop", "web", ""), None);
    let list = "{\"kind\": \"ServiceList\", \"apiVersion\": \"v1\", \"items\": [\n {\"metadata\": {\"name\": \"a\"}},\n {\"metadata\": {\"name\": \"b\"}}]}";
    assert_eq!(position(list, "Service", "default", "b", "metadata.name"), Some((3, 24)));
    let class = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx}\n";
    assert_eq!(position(class, "IngressClass", "", "nginx", "spec.controller"), Some((1, 1)));
}

#[test]
fn present_field_names_lead_to_removed_ones() {
    let text = "\
apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: old}
spec:
  backend:
    serviceName: all
    servicePort: 80
  rules:
  - http:
      paths:
      - backend:
          serviceName: one
          servicePort: http
";
    let cases = [
        ("spec.defaultBackend", (5, 3)),
        ("spec.defaultBackend.service.name", (6, 18)),
        ("spec.defaultBackend.service.port.number", (7, 18)),
        ("spec.backend.servicePort", (7, 18)),
        ("spec.rules[0].http.paths[0].backend.service", (12, 24)),
        ("spec.rules[0].http.paths[0].backend.service.port", (13, 24)),
        ("spec.rules[0].http.paths[0].backend.service.port.name", (13, 24)),
        ("spec.rules[0].http.paths[0].pathType", (11, 9)),
    ];
    for (field, expected) in cases {
        assert_eq!(position(text, "Ingress", "default", "old", field), Some(expected), "{field}");
    }
}

#[test]
fn keys_with_dots_are_found_with_and_without_brackets() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  tls.crt: YQ==\n";
    assert_eq!(position(text, "Secret", "default", "s", "data[tls.crt]"), Some((5, 3)));
    assert_eq!(position(text, "Secret", "default", "s", "data.tls.crt"), Some((5, 12)));
}

#[test]
fn a_slice_made_of_endpoints_is_found_in_them() {
    let text = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: web}\nsubsets:\n- ports: []\n";
    assert_eq!(position(text, "EndpointSlice", "default", "web (Endpoints)", "ports"), Some((1, 1)));
    assert_eq!(position(text, "EndpointSlice", "default", "web", ""), None);
}
