//! The reference pages: one for each group, with a heading, and so an anchor, for each annotation. They are the tables in another
//! form; `EDGEWARD_UPDATE_DOCS=1` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Effect, VALUES};
use crate::annotation::{Annotation, Group, Scope, Status, groups, table};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/annotations")
}

/// The file name of a group, without its ending.
fn slug(group: &Group) -> String {
    group.name.to_ascii_lowercase().replace(' ', "-")
}

/// What of an annotation is honoured, for a cell of a table.
fn status(row: &Annotation) -> &'static str {
    match row.status {
        Status::Honoured if row.differs.is_empty() => "honoured",
        Status::Honoured => "honoured, differs",
        Status::NoEffect => "no effect",
        Status::Refused => "refused",
        Status::Former => "unknown to ingress-nginx",
    }
}

fn index() -> String {
    let mut out = String::from(
        "# Annotations\n\nEvery annotation of ingress-nginx v1.15.1 (prefix `nginx.ingress.kubernetes.io/`, changeable by \
         `--annotations-prefix`), and what becomes of it. `edgeward audit` says the same of your objects.\n",
    );
    let count = |wanted: Status| table().filter(|row| row.status == wanted).count();
    let _ = writeln!(
        out,
        "\nOf {} annotations {} are honoured, {} have no effect here, and {} are refused.",
        table().count(),
        count(Status::Honoured),
        count(Status::NoEffect),
        count(Status::Refused)
    );
    for group in groups() {
        let _ = write!(out, "\n## {}\n\n| annotation | status |\n|---|---|\n", group.name);
        for row in group.annotations {
            let _ = writeln!(out, "| [`{0}`]({1}.md#{0}) | {2} |", row.name, slug(group), status(row));
        }
    }
    out
}

fn page(group: &Group) -> String {
    let mut out = format!("# {}\n\n{}\n", group.name, group.doc);
    for row in group.annotations {
        let _ = write!(out, "\n## {}\n\n{}\n\n", row.name, row.doc);
        let scope = match row.scope {
            Scope::Route => "the routes of its Ingress",
            Scope::Host => "all routes of the hosts of its Ingress",
            Scope::Backend => "the Service ports that its Ingress names; the oldest Ingress that names one decides",
        };
        let _ = writeln!(out, "- Status: {}", status(row));
        let _ = writeln!(out, "- Applies to: {scope}");
        for alias in row.aliases {
            let _ = writeln!(out, "- Another name: `{alias}`");
        }
        if !row.differs.is_empty() {
            let _ = writeln!(out, "- Differs from ingress-nginx: {}", row.differs);
        }
        if row.status != Status::Honoured && row.guard.is_some() {
            out.push_str("- It guards routes, so that they answer 503 as long as it is there\n");
        } else if !row.meanwhile.is_empty() {
            let _ = writeln!(out, "- Meanwhile: {}", row.meanwhile);
        }
        if !row.instead.is_empty() {
            let _ = writeln!(out, "- Instead: {}", row.instead);
        }
        for (_, bad) in VALUES {
            for (name, values, effect) in bad {
                if *name == row.name {
                    let shown = values.iter().map(|value| format!("`{}`", value.escape_debug())).collect::<Vec<_>>();
                    let _ = writeln!(out, "- {}: {}", consequence(*effect), shown.join(", "));
                }
            }
        }
    }
    out
}

const fn consequence(effect: Effect) -> &'static str {
    match effect {
        Effect::Default => "Values that are reported and count as if they were not there",
        Effect::Drops => "Values that are reported, and with which the Ingress is not served",
        Effect::Closes => "Values that are reported, and with which its routes answer 503",
    }
}

#[test]
fn the_reference_pages_say_what_the_tables_say() {
    let mut pages: BTreeMap<String, String> = groups().iter().map(|group| (slug(group), page(group))).collect();
    pages.insert("README".to_owned(), index());
    if std::env::var_os("EDGEWARD_UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        for (name, text) in &pages {
            std::fs::write(folder().join(format!("{name}.md")), text).unwrap();
        }
    }
    for (name, text) in &pages {
        let file = folder().join(format!("{name}.md"));
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(written == *text, "{} is out of date: run this test with EDGEWARD_UPDATE_DOCS=1", file.display());
    }
    let files = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(files, pages.len(), "a page of docs/annotations belongs to no group");
}
