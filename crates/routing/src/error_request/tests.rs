#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use super::*;
use crate::fixture::{Head, downstream};
use crate::settings::Settings;

fn edits(write: impl FnOnce(&mut dyn FnMut(Edit<'static, '_>))) -> BTreeMap<&'static str, Option<String>> {
    let mut edits = BTreeMap::new();
    write(&mut |edit| match edit {
        Edit::Set(name, value) | Edit::Append(name, value) => {
            assert!(edits.insert(name, Some(String::from_utf8(value.to_vec()).unwrap())).is_none())
        }
        Edit::Remove(name) => assert!(edits.insert(name, None).is_none()),
    });
    edits
}

#[test]
fn a_page_is_asked_for_with_the_status_and_whose_it_is() {
    let head = Head::get("web.test", "/a?b=1").with("accept", "text/html").with("x-real-ip", "192.0.2.9");
    let forwarded = Forwarded::of(&downstream(false), &head, &Settings::default());
    let request = ErrorRequest { status: 404, namespace: "default", ingress: "web", service: "s1", port: "80" };
    let edits = edits(|edit| request.edit_page(&forwarded, &head, b"id", &mut |change| edit(change)));
    let set = |name: &str| edits.get(name).cloned().flatten();
    assert_eq!(set("x-code").as_deref(), Some("404"));
    assert_eq!(set("x-format").as_deref(), Some("text/html"));
    assert_eq!(set("x-original-uri").as_deref(), Some("/a?b=1"));
    assert_eq!(set("x-service-port").as_deref(), Some("80"));
    assert_eq!(set("host").as_deref(), Some("web.test"));
    assert_eq!(edits.get("x-real-ip"), Some(&None));
}

#[test]
fn what_is_not_known_is_not_said_and_no_client_can_say_it() {
    let head = Head::get("web.test", "/").with("x-namespace", "other");
    let edits = edits(|edit| {
        let request = ErrorRequest { status: 413, ..ErrorRequest::default() };
        request.edit_stand_in(&head, &mut |change| edit(change));
    });
    for name in ["x-format", "x-namespace", "x-ingress-name", "x-service-name", "x-service-port"] {
        assert_eq!(edits.get(name), Some(&None), "{name}");
    }
}
