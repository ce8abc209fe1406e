//! The codes of syntax errors, what they are about, and the diagnostics made in several places.

use crate::ast::Script;
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::{MAX_DEPTH, MAX_SCRIPT_BYTES};
use crate::source::Span;

macro_rules! codes {
    ($($name:ident = $code:literal: $explanation:literal;)*) => {
        $(#[doc = $explanation] pub const $name: Code = Code($code);)*

        /// Each code with what it means.
        pub const EXPLANATIONS: &[(&str, &str)] = &[$(($code, $explanation)),*];
    };
}

codes! {
    UNEXPECTED = "PF0101": "The text does not follow the grammar at this place: something else has to stand there.";
    SEMICOLON = "PF0102": "A statement or declaration is not ended by a semicolon. Only the last statement of a block may go without.";
    UNCLOSED = "PF0103": "A bracket is opened and never closed, or another one is closed first.";
    UNOPENED = "PF0104": "A closing bracket stands where none is open.";
    STRING = "PF0105": "A string has no closing quote on its line. A line break inside of a string is written \\n.";
    COMMENT = "PF0106": "A comment begins with /* and never ends.";
    CHARACTER = "PF0107": "A character stands outside of strings and comments that is no part of the language, for example a typographic quote.";
    INTEGER = "PF0108": "A number is no number of the language: too large for 64 bits, with an unknown suffix, a wrong digit or a fraction.";
    ESCAPE = "PF0109": "A string holds a backslash with an unknown character behind it, or bytes that no string can hold.";
    ASSIGNMENT = "PF0110": "An assignment stands where a value is needed. Assignments are statements; values are compared with ==.";
    SIGIL = "PF0111": "A variable lacks its $ or a map its @. A bare name is a builtin or a parameter and cannot be assigned to.";
    FOREIGN = "PF0112": "This belongs to C, to bpftrace or to another language, and pfscript has it not or writes it differently.";
    SPELLING = "PF0113": "A word looks like a misspelt keyword.";
    DEPTH = "PF0114": "Brackets, blocks or operators are nested deeper than the compiler follows.";
    SIZE = "PF0115": "The script is larger than any that could be compiled.";
    EMPTY = "PF0116": "A script without a probe would do nothing.";
    OUTSIDE = "PF0117": "A statement stands outside of a probe, or a declaration inside of one.";
    BRACES = "PF0118": "A body lacks its braces, or a probe its body, or an else its if.";
}

/// `span` is nested deeper than [`MAX_DEPTH`].
pub(crate) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(DEPTH, span, format!("this is nested more than {MAX_DEPTH} levels deep"))
        .help("split it: give parts of it names with `$x = ...`, or use several statements")
}

/// A script of `bytes`, more than [`MAX_SCRIPT_BYTES`].
pub(crate) fn too_large(bytes: usize) -> Diagnostic {
    let message = format!("the script has {bytes} bytes, more than the {MAX_SCRIPT_BYTES} that a script may have");
    Diagnostic::error(SIZE, Span::default(), message).help("is this the right file?")
}

/// A script with nothing to run.
pub(crate) fn no_probe(text: &str, script: &Script) -> Diagnostic {
    let message = match (text.trim().is_empty(), script.items.is_empty()) {
        (true, _) => "the script is empty",
        (false, true) => "the script holds nothing but comments",
        (false, false) => "the script has no probe, so it would do nothing",
    };
    Diagnostic::error(EMPTY, Span::default(), message)
        .help(r#"write a probe, for example `BEGIN { printf("hello\n"); }`"#)
}
