//! Golden translations: `tests/translate/NAME.yaml` and beside it, in `NAME.snap`, what becomes of it.
//!
//! The first line of a manifest is the rule that it shows. A second comment line may hold the options of the command line
//! that it is translated with. `INSTA_UPDATE=always` writes the snapshots anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeward_controller::index::Index;
use edgeward_controller::object::{NamespacedName, Object};
use edgeward_controller::parse::{Parsed, parse};
use edgeward_controller::translate::{Clock, Compatibility, Options, translate};
use edgeward_routing::Snapshot;
use edgeward_routing::render::render;

use crate::bad_input::mangle;

/// 2030-01-01: some of the certificates have expired by then.
const NOW: i64 = 1_893_456_000;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("translate")
}

/// The names of the files in the folder that end so, without that ending.
pub(crate) fn names(ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder of manifests");
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect()
}

pub(crate) fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap()
}

/// The options in the line `# flags:`.
fn options(text: &str) -> Options {
    let mut options = Options { clock: Clock::Fixed(NOW), ..Options::for_directory() };
    let flags = text.lines().find_map(|line| line.strip_prefix("# flags: ")).unwrap_or_default();
    for flag in flags.split_whitespace() {
        let name = |value: &str| value.split_once('/').map(|(namespace, name)| NamespacedName::new(namespace, name));
        match flag.split_once('=') {
            Some(("--compatibility", "strict")) => options.compatibility = Compatibility::Strict,
            Some(("--watch-ingress-without-class", "false")) => options.watch_ingress_without_class = false,
            Some(("--configmap", value)) => options.configmap = name(value),
            Some(("--default-backend-service", value)) => options.default_backend_service = name(value),
            Some(("--default-ssl-certificate", value)) => options.default_ssl_certificate = name(value),
            _ => panic!("{flag:?} is no option of these tests"),
        }
    }
    options
}

/// What a text becomes: the routing and everything that there is to say about it.
fn translated(text: &str) -> String {
    translation(parsed(text), &options(text))
}

fn parsed(text: &str) -> Parsed {
    parse("manifest.yaml", text).unwrap_or_else(|e| panic!("not YAML: {e}"))
}

/// The annotations that the objects of a text have: names with their prefix, and values.
pub(crate) fn annotations_of(text: &str) -> Vec<(String, String)> {
    let objects = parsed(text).objects.into_iter();
    objects
        .flat_map(|placed| match placed.object {
            Object::Ingress(ingress) => ingress.meta.annotations.clone(),
            Object::Service(service) => service.meta.annotations,
            _ => BTreeMap::new(),
        })
        .collect()
}

/// Whether a text becomes something else, or something else is said of it, without this annotation.
pub(crate) fn depends_on(text: &str, annotation: &str) -> bool {
    let (options, mut without) = (options(text), parsed(text));
    for placed in &mut without.objects {
        match &mut placed.object {
            Object::Ingress(ingress) => Arc::make_mut(ingress).meta.annotations.remove(annotation),
            Object::Service(service) => service.meta.annotations.remove(annotation),
            _ => None,
        };
    }
    translation(without, &options) != translation(parsed(text), &options)
}

fn translation(parsed: Parsed, options: &Options) -> String {
    let skipped = parsed.skipped.iter().map(|(kind, count)| format!("skipped {count} x {kind}\n"));
    let skipped: String = skipped.collect();
    let index = Index::of(parsed.objects.into_iter().map(|placed| placed.object));
    let translation = translate(&index, options, &Snapshot::empty(Default::default()));
    let mut diagnostics = parsed.diagnostics;
    diagnostics.extend(translation.diagnostics);
    for diagnostic in &mut diagnostics {
        // Where an object stands is the one thing that the order of documents decides.
        diagnostic.location = None;
    }
    diagnostics.sort();
    let diagnostics: String = diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n")).collect();
    format!("{}---\n{diagnostics}{skipped}", render(&translation.snapshot))
}

/// The documents of a text, each time in another order: back to front, and some orders that only look random.
fn shuffled(text: &str) -> Vec<String> {
    let comments: String = text.lines().take_while(|line| line.starts_with('#')).flat_map(|l| [l, "\n"]).collect();
    let documents: Vec<&str> = text[comments.len()..].split("\n---\n").map(str::trim_end).collect();
    let assemble = |order: Vec<&str>| format!("{comments}{}\n", order.join("\n---\n"));
    let mut orders = vec![assemble(documents.iter().rev().copied().collect())];
    for seed in 1..=8_u64 {
        let mut keyed: Vec<(u64, &str)> = documents.iter().zip(1_u64..).map(|(d, n)| (mix(seed, n), *d)).collect();
        keyed.sort_unstable_by_key(|(key, _)| *key);
        orders.push(assemble(keyed.into_iter().map(|(_, document)| document).collect()));
    }
    orders
}

/// A number that looks random (the finisher of SplitMix64).
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn every_manifest_is_translated_as_its_snapshot_says() {
    let names = names(".yaml");
    assert!(names.len() >= 25, "{names:?}");
    for name in names {
        let text = text(&name);
        let rule = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        assert!(rule.ends_with('.') && rule.len() > 20, "{name}.yaml does not begin with its rule in one sentence");
        insta::with_settings!({
            snapshot_path => folder(),
            prepend_module_to_snapshot => false,
            description => rule,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name.as_str(), translated(&text));
        });
    }
}

#[test]
fn no_snapshot_is_left_behind() {
    let orphans: Vec<String> = names(".snap").difference(&names(".yaml")).cloned().collect();
    assert!(orphans.is_empty(), "snapshots without a manifest: {orphans:?}");
}

#[test]
fn the_order_of_documents_changes_no_byte() {
    for name in names(".yaml") {
        let text = text(&name);
        let expected = translated(&text);
        for other in shuffled(&text) {
            assert_eq!(translated(&other), expected, "{name}.yaml in another order");
        }
    }
}

/// In this process, where many more can be tried than through the binary.
#[test]
fn no_mangled_manifest_makes_the_translation_panic() {
    let texts: Vec<String> = names(".yaml").iter().map(|name| text(name)).collect();
    let (mut parsed, mut objects) = (0, 0);
    for seed in 0..6000 {
        let mangled = mangle(&texts[usize::try_from(seed).unwrap() % texts.len()], seed);
        let Ok(mangled) = String::from_utf8(mangled) else { continue };
        let Ok(result) = parse("mangled.yaml", &mangled) else { continue };
        parsed += 1;
        let index = Index::of(result.objects.into_iter().map(|placed| placed.object));
        let options = Options { clock: Clock::Fixed(NOW), ..Options::for_directory() };
        let translation = translate(&index, &options, &Snapshot::empty(Default::default()));
        objects += index.ingresses().count();
        // Rendering reaches every part of the snapshot.
        render(&translation.snapshot);
    }
    eprintln!("mangled manifests: 6000, of them {parsed} still YAML, with {objects} Ingresses");
    assert!(parsed > 1000 && objects > 1000, "the damage is too great to reach the translation");
}
