//! The first look at the command line: which script?
//!
//! A script's parameters are options like the tool's own, so the script has to be known before
//! the command line can be understood. [`scan`] finds it with what is known beforehand: the tool's
//! own options; anything else that begins with `--` takes the next word as its value.

use std::ffi::OsString;

use clap::Arg;

use crate::cli::options::options;

/// Where the script is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptRef {
    /// The text is an argument (`-e`).
    Program(String),
    /// Standard input (`-`).
    Stdin,
    /// A file's path or a built-in script's name.
    Named(OsString),
    /// None was named.
    Default,
}

/// What the first look at the command line found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The script.
    pub script: ScriptRef,
    /// Unknown options with the word that was taken for their value.
    pub taken: Vec<(String, OsString)>,
}

/// `words` with `-lv`, as bpftrace has it, spelled out: `-l` may have a value, which `v` would be.
pub fn spelled_out(words: &[OsString]) -> Vec<OsString> {
    let spelled_out = |word: &OsString| if word == "-lv" { "-vl".into() } else { word.clone() };
    words.iter().map(spelled_out).collect()
}

/// Finds the script in `words` (without the program's own name).
pub fn scan(words: &[OsString]) -> Scan {
    let options = options();
    let mut scan = Scan { script: ScriptRef::Default, taken: Vec::new() };
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if text == "--" {
            scan.offer(words.next());
            break;
        } else if let Some(long) = text.strip_prefix("--") {
            if long.contains('=') {
                continue;
            }
            match options.iter().find(|option| option.get_long() == Some(long)) {
                Some(option) if takes_next_word(option) => drop(words.next()),
                Some(_) => {}
                None => {
                    let value = words.next_if(|value| !value.to_string_lossy().starts_with("--"));
                    scan.taken.extend(value.map(|value| (text.to_string(), value.clone())));
                }
            }
        } else if text.len() > 1 && text.starts_with('-') {
            scan.short(&options, &text[1..], &mut words);
        } else {
            scan.offer(Some(word));
        }
    }
    scan
}

impl Scan {
    /// Takes `word` for the script unless there is one already.
    fn offer(&mut self, word: Option<&OsString>) {
        if let (ScriptRef::Default, Some(word)) = (&self.script, word) {
            self.script = if word == "-" { ScriptRef::Stdin } else { ScriptRef::Named(word.clone()) };
        }
    }

    /// A group of short options: `-qv`, `-fjson`, `-e PROGRAM`.
    fn short<'a>(&mut self, options: &[Arg], group: &str, words: &mut impl Iterator<Item = &'a OsString>) {
        for (at, letter) in group.char_indices() {
            let Some(option) = options.iter().find(|option| option.get_short() == Some(letter)) else { return };
            if takes_next_word(option) {
                let rest = &group[at + letter.len_utf8()..];
                let value =
                    if rest.is_empty() { words.next().map(|word| word.to_string_lossy().into_owned()) } else { None };
                let value = value.unwrap_or_else(|| rest.strip_prefix('=').unwrap_or(rest).to_owned());
                if letter == 'e' {
                    self.script = ScriptRef::Program(value);
                }
                return;
            }
        }
    }
}

fn takes_next_word(option: &Arg) -> bool {
    option.get_action().takes_values() && !option.is_require_equals_set()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn named(name: &str) -> ScriptRef {
        ScriptRef::Named(name.into())
    }

    #[test]
    fn bpftraces_lv_is_two_flags() {
        assert_eq!(spelled_out(&words("-lv kprobe:* -l -v -q")), words("-vl kprobe:* -l -v -q"));
    }

    #[test]
    fn the_script_is_found_wherever_it_stands() {
        let cases = [
            ("", ScriptRef::Default),
            ("x.pf", named("x.pf")),
            ("-", ScriptRef::Stdin),
            ("x.pf --log_step 70 y", named("x.pf")),
            ("--log_step 70 x.pf", named("x.pf")),
            ("--log_step=70 x.pf", named("x.pf")),
            ("--log-step -5 x.pf", named("x.pf")),
            ("--check x.pf", named("x.pf")),
            ("--dump-ir x.pf", named("x.pf")),
            ("--dump-ir=fold x.pf", named("x.pf")),
            ("--duration 10s x.pf", named("x.pf")),
            ("-qv x.pf", named("x.pf")),
            ("-f json x.pf", named("x.pf")),
            ("-fjson x.pf", named("x.pf")),
            ("-qf json x.pf", named("x.pf")),
            ("--all --log_step 70 x.pf", named("x.pf")),
            ("--log_step 70 -- --x.pf", named("--x.pf")),
            ("--log_step 70", ScriptRef::Default),
            ("-e BEGIN{}", ScriptRef::Program("BEGIN{}".into())),
            ("-eBEGIN{}", ScriptRef::Program("BEGIN{}".into())),
            ("1 2 -qe BEGIN{}", ScriptRef::Program("BEGIN{}".into())),
        ];
        for (line, script) in cases {
            assert_eq!(scan(&words(line)).script, script, "{line}");
        }
    }
}
