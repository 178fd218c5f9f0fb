#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::fixture::{route, snapshot};
use crate::settings::Settings;

/// A snapshot whose parts all tell its generation.
fn numbered(generation: u64) -> Snapshot {
    let paths = (0..=generation % 50).map(|n| route("a.test", &format!("Prefix /{n}"), 1)).collect();
    Snapshot {
        generation,
        ..snapshot(paths, &[], Settings { health_path: generation.to_string().into(), ..Settings::default() })
    }
}

#[test]
fn a_reader_sees_what_was_published_last_and_keeps_what_it_loaded() {
    let mut publisher = Publisher::new(Snapshot::empty(Settings::default()));
    let reader = publisher.reader();
    let before = reader.load();
    publisher.publish(numbered(1));
    assert_eq!(before.generation, 0);
    assert!(before.routes.is_empty());
    assert_eq!(reader.load().generation, 1);
    assert_eq!(reader.clone().load().routes.len(), 2);
}

#[test]
fn swaps_under_load_never_mix_generations() {
    let mut publisher = Publisher::new(numbered(0));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let reader = publisher.reader();
            std::thread::spawn(move || {
                let mut last = 0;
                while last < 2000 {
                    let snapshot = reader.load();
                    assert!(snapshot.generation >= last, "went back in time");
                    last = snapshot.generation;
                    assert_eq!(*snapshot.settings.health_path, *last.to_string());
                    assert_eq!(snapshot.routes.len() as u64, last % 50 + 1);
                }
            })
        })
        .collect();
    (1..=2000).for_each(|generation| publisher.publish(numbered(generation)));
    for reader in readers {
        reader.join().unwrap();
    }
}
