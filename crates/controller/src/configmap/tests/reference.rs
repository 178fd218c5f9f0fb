//! The reference page: the table in another form; `EDGEWARD_UPDATE_DOCS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use super::table;
use crate::annotation::Status;

fn page() -> String {
    let mut out = String::from(
        "# ConfigMap\n\nEvery key of the ConfigMap of ingress-nginx v1.15.1 (`--configmap`), and what becomes of it. `edgeward \
         audit` says the same of yours.\n",
    );
    let count = |wanted: Status| table().iter().filter(|key| key.status == wanted).count();
    let _ = writeln!(
        out,
        "\nOf {} keys {} are honoured, {} are about nginx itself and need no counterpart, and {} are refused. A change counts without a restart; what is about connections, for those that are opened after it.",
        table().len(),
        count(Status::Honoured),
        count(Status::NoEffect),
        count(Status::Refused)
    );
    out.push_str("\n| key | status | why, or what differs |\n|---|---|---|\n");
    for key in table() {
        let status = match key.status {
            Status::Honoured => "honoured",
            Status::NoEffect => "no effect",
            Status::Refused => "refused",
            Status::Former => "unknown to ingress-nginx",
        };
        let _ = writeln!(out, "| `{}` | {status} | {} |", key.name, key.why);
    }
    out
}

#[test]
fn the_reference_page_says_what_the_table_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configmap.md");
    let page = page();
    if std::env::var_os("EDGEWARD_UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "{} is out of date: run this test with EDGEWARD_UPDATE_DOCS=1", file.display());
}
