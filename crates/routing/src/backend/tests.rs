#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::fixture;

fn backends(names: &[&str]) -> Vec<Arc<Backend>> {
    names.iter().map(|name| Arc::new(fixture::backend(name, 1, LoadBalance::RoundRobin))).collect()
}

/// `a0 b1`: each backend with its number.
fn numbered(backends: &Backends) -> String {
    for (id, backend) in backends.iter() {
        assert!(Arc::ptr_eq(backends.by_id(id).unwrap(), backend));
    }
    backends.iter().map(|(id, backend)| format!("{}{} ", backend.key.service, id.0)).collect()
}

#[test]
fn a_backend_keeps_its_number_whoever_comes_and_goes() {
    let mut current = Backends::new(backends(&["b", "d"]));
    assert_eq!(numbered(&current), "b0 d1 ");
    for (names, expected) in [
        (&["a", "b", "c", "d"][..], "a2 b0 c3 d1 "),
        (&["a", "c", "d"][..], "a2 c3 d1 "),
        (&["a", "c", "d"][..], "a2 c3 d1 "),
        // Numbers that are free are given again.
        (&["c", "e", "f"][..], "c3 e0 f1 "),
        (&[][..], ""),
        (&["x"][..], "x0 "),
    ] {
        current = current.followed_by(backends(names));
        assert_eq!(numbered(&current), expected);
    }
    assert!(current.by_id(BackendId(7)).is_none());
}
