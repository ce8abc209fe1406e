//! What holds for every text whatever, as a function that fuzzing can call.

use crate::diagnostic::{Diagnostic, Label};
use crate::source::SourceFile;
use crate::{parse, print_ast};

/// Parses `text` and checks what must hold for any text.
///
/// # Panics
/// When it does not: an answer without an error, a place outside of the text or inside of a
/// character, a message without words.
pub fn check(text: &str) {
    let source = SourceFile::new("fuzz", text);
    match parse(&source) {
        Ok(script) => assert!(!print_ast(&script, &source).is_empty(), "a script has a probe"),
        Err(errors) => {
            assert!(!errors.is_empty(), "a refusal has a reason");
            errors.iter().for_each(|error| check_diagnostic(error, text));
        }
    }
}

fn check_diagnostic(error: &Diagnostic, text: &str) {
    assert!(!error.message.is_empty(), "a message has words");
    check_label(&error.primary, text);
    error.secondary.iter().for_each(|label| check_label(label, text));
}

fn check_label(label: &Label, text: &str) {
    assert!(text.get(label.span.range()).is_some(), "{:?} is no part of the text", label.span);
}
