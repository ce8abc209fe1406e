//! `--explain CODE`: what a diagnostic's code means, wherever the code was given.

use pfscript_compiler::EXPLANATIONS as MEANING;
use pfscript_grammar::Code;
use pfscript_grammar::codes::EXPLANATIONS as SYNTAX;

/// A parameter has the name of an option.
pub const PARAM_CLASH: Code = Code("PF0490");

const OWN: &[(&str, &str)] = &[(
    PARAM_CLASH.0,
    "A parameter of the script has the name of one of pfscript's own options, which keeps its meaning: \
     the parameter needs another name.",
)];

fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    SYNTAX.iter().chain(MEANING).chain(OWN)
}

/// Every code, as what may stand behind `--explain`.
pub fn codes() -> impl Iterator<Item = &'static str> {
    all().map(|(code, _)| *code)
}

/// Every code with what it means, a line each, in the order of the codes.
pub fn list() -> String {
    let mut lines: Vec<String> = all().map(|(code, meaning)| format!("{code}  {meaning}\n")).collect();
    lines.sort_unstable();
    lines.concat()
}

/// What `code` means: `PF0101`, in lower case or the number alone if you like.
///
/// # Errors
/// What to do when there is no such code.
pub fn explain(code: &str) -> Result<String, String> {
    let number = code.to_uppercase();
    let number = number.trim_start_matches("PF").trim_start_matches('0');
    let found = all().find(|(known, _)| known.trim_start_matches("PF0") == number);
    found
        .map(|(known, meaning)| format!("{known}: {meaning}\n"))
        .ok_or_else(|| "there is no such code; `pfscript --explain` lists them all".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_and_no_two_are_the_same() {
        let mut codes: Vec<_> = all().map(|(code, _)| *code).collect();
        assert!(codes.iter().all(|code| explain(code).is_ok_and(|text| text.starts_with(code))));
        assert_eq!(list().lines().count(), codes.len());
        codes.sort_unstable();
        let count = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn a_code_may_be_written_carelessly() {
        assert_eq!(explain("pf0101"), explain("PF0101"));
        assert_eq!(explain("101"), explain("PF0101"));
        for wrong in ["", "PF", "PF9999", "PF01", "E0101", "x"] {
            assert!(explain(wrong).is_err(), "{wrong}");
        }
    }
}
