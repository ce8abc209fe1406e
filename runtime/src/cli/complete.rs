//! Completion in shells: `--completions SHELL` prints a snippet for the shell, which from then on
//! asks this binary at each Tab. So what is completed is what there is: the options, the built-in
//! scripts, and the parameters of the script that stands on the line already.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use pfscript_compiler::declared_params;
use pfscript_compiler::params::ParamSpec;
use pfscript_grammar::parse;

use crate::cli::options::{self, command};
use crate::cli::scan::{ScriptRef, scan};
use crate::cli::script::{self, BUILT_IN};

/// The variable of the environment by which a snippet asks, with the name of its shell.
pub const ASKED_BY: &str = "PFSCRIPT_COMPLETE";
/// The shells.
const SHELLS: [&dyn EnvCompleter; 3] = [&Bash, &Zsh, &Fish];

/// The shells' names.
pub fn shells() -> impl Iterator<Item = &'static str> {
    SHELLS.iter().map(|shell| shell.name())
}

fn shell(name: &OsStr) -> Option<&'static dyn EnvCompleter> {
    SHELLS.into_iter().find(|shell| OsStr::new(shell.name()) == name)
}

/// The snippet for the shell called `name`.
pub fn snippet(name: &str) -> io::Result<String> {
    let mut text = Vec::new();
    let shell = shell(OsStr::new(name)).ok_or(io::ErrorKind::NotFound)?;
    let own = std::env::current_exe()?;
    shell.write_registration(ASKED_BY, "pfscript", "pfscript", &own.to_string_lossy(), &mut text)?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// What may stand in the place of a word, as the shell called `shell_name` takes it. `words` is
/// what its snippet passes: `--`, and the line as far as it is written.
pub fn answer(shell_name: &OsStr, words: &[OsString]) -> io::Result<Vec<u8>> {
    let shell = shell(shell_name).ok_or(io::ErrorKind::NotFound)?;
    let line = words.split_first().map_or(&[][..], |(_, line)| line).to_vec();
    let at = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
    let mut others: Vec<_> = line.iter().map(|word| unquoted(word)).collect();
    // The word at the cursor is not written yet, so it names no script.
    if at.is_none_or(|at: usize| at < others.len()) {
        others.remove(at.unwrap_or(others.len().saturating_sub(1)));
    }
    let mut answer = Vec::new();
    let mut command = command_of(others.get(1..).unwrap_or_default());
    shell.write_complete(&mut command, line, std::env::current_dir().ok().as_deref(), &mut answer)?;
    Ok(answer)
}

/// A word without the quotes that are around it: shells pass it as it was written.
fn unquoted(word: &OsStr) -> OsString {
    let text = word.to_string_lossy();
    let inside = ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    inside.map_or_else(|| word.to_owned(), OsString::from)
}

/// The command line with the parameters of the script that `words` name.
fn command_of(words: &[OsString]) -> clap::Command {
    let script = scan(words).script;
    let params = params_of(&script).unwrap_or_default();
    command(matches!(script, ScriptRef::Program(_)), "the script", &params)
}

/// None where there is no script to be read, or it is wrong.
fn params_of(script: &ScriptRef) -> Option<Vec<ParamSpec>> {
    if *script == ScriptRef::Stdin {
        return None;
    }
    let source = script::read(script).ok()?;
    let params = declared_params(&parse(&source).ok()?).ok()?;
    Some(params).filter(|params| options::clashing(params).is_none())
}

/// Completes the name of a script.
#[derive(Clone, Copy, Debug)]
pub struct Scripts;

impl ValueCompleter for Scripts {
    fn complete(&self, written: &OsStr) -> Vec<CompletionCandidate> {
        let begins = |name: &str| name.starts_with(&*written.to_string_lossy());
        let built_in = BUILT_IN.iter().filter(|(name, _)| begins(name));
        let built_in =
            built_in.map(|&(name, text)| CompletionCandidate::new(name).help(Some(script::purpose(text).into())));
        let is_script = |path: &Path| path.extension().is_some_and(|extension| extension == "pf");
        built_in.chain(PathCompleter::any().filter(is_script).complete(written)).collect()
    }
}
