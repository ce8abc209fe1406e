//! What the documents say of the tree is true of it: links lead somewhere, the code map names files
//! that are there, and every script is told of.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{documents, read, root, scripts};

/// The targets of `[text](target)` that are in this tree.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.starts_with("http"))
}

/// The anchor that a heading gets: lower case, dashes for blanks, marks left away.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    headings.map(|heading| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    })
}

pub fn links_lead_somewhere() {
    for document in documents() {
        let text = read(&document);
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = document.parent().expect("a document is in a folder");
            let target = if path.is_empty() { document.clone() } else { folder.join(path) };
            assert!(target.exists(), "{}: there is no {path}", document.display());
            let is_known = anchor.is_empty() || anchors(&read(&target)).any(|known| known == anchor);
            assert!(is_known, "{}: {path} has no heading #{anchor}", document.display());
        }
    }
}

/// docs/bpftrace.md has a row for each builtin and function, here or there.
pub fn the_table_for_bpftrace_users_is_whole() {
    let text = read(&root().join("docs/bpftrace.md"));
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let code: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    let words: Vec<&str> =
        code.iter().flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_')).collect();
    let is_numbered = |name: &str| name.starts_with("arg") && !name.ends_with('0');
    let missing: Vec<&str> =
        pfscript_compiler::names().into_iter().filter(|name| !is_numbered(name) && !words.contains(name)).collect();
    assert!(missing.is_empty(), "docs/bpftrace.md does not tell of {missing:?}");
}

/// In a row of the code map, a name without a folder is in the folder of the one before it.
pub fn the_code_map_names_what_is_there() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let mut crate_name = "";
    let mut named = 0;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            crate_name = if heading.starts_with(char::is_uppercase) { "" } else { heading };
        }
        let Some(cell) = line.strip_prefix("| `").and_then(|rest| rest.split('|').next()) else { continue };
        let mut folder = PathBuf::new();
        for name in format!("`{cell}").split('`').skip(1).step_by(2) {
            let path = if name.contains('/') { PathBuf::from(name) } else { folder.join(name) };
            assert!(root().join(crate_name).join(&path).exists(), "{line}\nthere is no {}", path.display());
            folder = path.parent().unwrap_or(Path::new("")).to_owned();
            named += 1;
        }
    }
    assert!(named > 100, "only {named} names were found");
}

/// The man page is made of the options that `--help` shows; `PFSCRIPT_BLESS=1` writes it anew.
pub fn the_man_page_says_what_the_help_says() {
    let path = root().join("docs/pfscript.1");
    let command = pfscript::cli::options::command(false, "the script", &[]);
    let mut page = Vec::new();
    clap_mangen::Man::new(command).manual("User Commands").render(&mut page).expect("memory can be written to");
    let page = String::from_utf8(page).expect("a man page is text");
    // The lines of the examples stay as they are.
    let examples = pfscript::cli::options::EXAMPLES.replace('-', "\\-").replacen("Examples:", ".SH EXAMPLES\n.nf", 1);
    let (before, rest) = page.split_once(".SH EXTRA").expect("what stands below the options");
    let (_, after) = rest.split_once(".SH VERSION").expect("the version is the last section");
    let page = format!("{before}{examples}\n.fi\n.SH VERSION{after}");
    if std::env::var_os("PFSCRIPT_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, &page).expect("it can be written");
    }
    assert!(read(&path) == page, "docs/pfscript.1 is out of date: PFSCRIPT_BLESS=1 cargo test --test docs writes it");
}

pub fn every_script_is_built_in_and_told_of() {
    let readme = read(&root().join("README.md"));
    let built_in: Vec<_> = pfscript::cli::script::BUILT_IN.iter().map(|(name, _)| *name).collect();
    for script in scripts() {
        let name = script.file_stem().and_then(|name| name.to_str()).expect("a script has a name");
        assert!(built_in.contains(&name), "{name} is not built in");
        assert!(readme.contains(&format!("[{name}](scripts/{name}.pf)")), "README.md does not tell of {name}");
    }
}

pub fn the_readme_shows_pagefault_as_it_is() {
    let readme = read(&root().join("README.md"));
    let script = read(&root().join("scripts/pagefault.pf"));
    let code = script.lines().filter(|line| !line.starts_with('#')).map(|line| line.split("//").next().unwrap_or(line));
    for line in code.map(str::trim_end).filter(|line| !line.is_empty()) {
        assert!(readme.lines().any(|shown| shown == line), "README.md does not show: {line}");
    }
}

/// Every test that docs/reliability.md names in its tables is there, by its name or by the part before a `*`.
pub fn every_promise_has_its_test() {
    let mut sources = String::new();
    for folder in ["tests/live", "tests/vm/cases", "tests/fuzz", "runtime/src/output"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder of tests").flatten() {
            sources += &fs::read_to_string(entry.path()).unwrap_or_default();
        }
    }
    let mut named = 0;
    for line in read(&root().join("docs/reliability.md")).lines() {
        let Some(tests) = line.strip_prefix("| ").and_then(|row| row.split(" | ").nth(1)) else { continue };
        for name in tests.split('`').skip(1).step_by(2).filter(|name| *name != "live") {
            // What stands before the slash of a name may be put there when the test is run.
            let name = name.trim_end_matches('*');
            let own = name.rsplit_once('/').map_or(name, |(_, own)| own);
            assert!(
                sources.contains(name) || sources.contains(own) && !own.is_empty(),
                "{line}\nthere is no test {name}"
            );
            named += 1;
        }
    }
    assert!(named > 40, "only {named} names were found");
}
