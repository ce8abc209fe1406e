//! The catalog as a text, for those who write scripts.

use std::fmt::Write;

use super::absent::ABSENT;
use super::builtins::BUILTINS;
use super::functions::FUNCTIONS;
use super::probe_kinds::PROBE_KINDS;

/// What a script may name: probes, builtins and functions, each in one line.
pub fn reference() -> String {
    let mut out = String::new();
    section(&mut out, "Probes", PROBE_KINDS.iter().map(|kind| (kind.syntax, kind.doc)));
    section(&mut out, "Builtins", BUILTINS.iter().map(|builtin| (builtin.name, builtin.doc)));
    section(&mut out, "Functions", FUNCTIONS.iter().map(|row| (row.syntax, row.doc)));
    out
}

/// The names of all builtins and functions, and of what only bpftrace has.
pub fn names() -> Vec<&'static str> {
    let builtins = BUILTINS.iter().map(|builtin| builtin.name);
    let functions = FUNCTIONS.iter().map(|row| row.name);
    builtins.chain(functions).chain(ABSENT.iter().map(|(name, _)| *name)).collect()
}

fn section(out: &mut String, title: &str, rows: impl Iterator<Item = (&'static str, &'static str)>) {
    let separator = if out.is_empty() { "" } else { "\n" };
    let _ = writeln!(out, "{separator}{title}:");
    for (name, doc) in rows {
        let _ = writeln!(out, "  {name:<42} {doc}");
    }
}
