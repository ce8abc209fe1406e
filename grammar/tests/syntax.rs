//! Runs the cases of tests/cases/syntax: each `name.pf` has its tree in `name.ast`, or its errors
//! in `name.err`. `PFSCRIPT_BLESS=1` writes what came out instead of comparing.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use pfscript_grammar::{Diagnostic, SourceFile, parse, print_ast};

#[test]
fn every_case_gives_what_stands_beside_it() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/syntax");
    let failures: Vec<String> = scripts(&dir).iter().filter_map(|script| run_case(script).err()).collect();
    assert!(failures.is_empty(), "{}\nPFSCRIPT_BLESS=1 rewrites the expectations", failures.join("\n"));
}

#[test]
fn every_expectation_has_its_script() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/syntax");
    let scripts = scripts(&dir);
    for path in files(&dir) {
        assert!(scripts.contains(&path.with_extension("pf")), "{} has no script", path.display());
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("the folder of cases is there");
    entries.map(|entry| entry.expect("it can be listed").path()).collect()
}

fn scripts(dir: &Path) -> BTreeSet<PathBuf> {
    files(dir).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "pf")).collect()
}

fn run_case(script: &Path) -> Result<(), String> {
    let name = script.file_name().expect("a script has a name").to_string_lossy().into_owned();
    let source = SourceFile::new(name, std::fs::read_to_string(script).expect("a script is text"));
    let (extension, other, actual) = match parse(&source) {
        Ok(tree) => ("ast", "err", print_ast(&tree, &source)),
        Err(errors) => ("err", "ast", errors.iter().map(|error| plain(error, &source)).collect()),
    };
    if std::env::var_os("PFSCRIPT_BLESS").is_some() {
        let _ = std::fs::remove_file(script.with_extension(other));
        return std::fs::write(script.with_extension(extension), actual).map_err(|error| error.to_string());
    }
    match std::fs::read_to_string(script.with_extension(extension)) {
        Ok(expected) if expected == actual => Ok(()),
        Ok(expected) => Err(format!("{}: expected\n{expected}\nfound\n{actual}", script.display())),
        Err(error) => Err(format!("{}: no .{extension}: {error}; found\n{actual}", script.display())),
    }
}

/// A diagnostic in its simplest form.
fn plain(diagnostic: &Diagnostic, source: &SourceFile) -> String {
    let place = |offset| {
        let at = source.line_column(offset);
        format!("{}:{}:{}", source.name(), at.line, at.column)
    };
    let mut text =
        format!("{}: error[{}]: {}\n", place(diagnostic.primary.span.start), diagnostic.code.0, diagnostic.message);
    if !diagnostic.primary.text.is_empty() {
        let _ = writeln!(text, "  here: {}", diagnostic.primary.text);
    }
    for label in &diagnostic.secondary {
        let _ = writeln!(text, "  {}: {}", place(label.span.start), label.text);
    }
    for help in &diagnostic.help {
        let _ = writeln!(text, "  help: {help}");
    }
    text
}
