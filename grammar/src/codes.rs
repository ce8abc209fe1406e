//! The codes of syntax errors, what they are about, and the diagnostics made in several places.

use crate::diagnostic::{Code, Diagnostic};
use crate::limits::MAX_DEPTH;
use crate::source::Span;

/// Something else was expected.
pub const UNEXPECTED: Code = Code("PF0101");
/// A statement without its semicolon.
pub const SEMICOLON: Code = Code("PF0102");
/// A bracket that is never closed.
pub const UNCLOSED: Code = Code("PF0103");
/// A closing bracket that closes nothing, or the wrong one.
pub const UNOPENED: Code = Code("PF0104");
/// A string without its closing quote.
pub const STRING: Code = Code("PF0105");
/// A comment without its end.
pub const COMMENT: Code = Code("PF0106");
/// A character that no script can hold there.
pub const CHARACTER: Code = Code("PF0107");
/// An integer literal that is none.
pub const INTEGER: Code = Code("PF0108");
/// A wrong escape in a string.
pub const ESCAPE: Code = Code("PF0109");
/// An assignment in the place of a value.
pub const ASSIGNMENT: Code = Code("PF0110");
/// An assignment to a name without `$` or `@`.
pub const SIGIL: Code = Code("PF0111");
/// Something of C, bpftrace or another language that pfscript does not have.
pub const FOREIGN: Code = Code("PF0112");
/// A misspelt keyword.
pub const SPELLING: Code = Code("PF0113");
/// Nested too deep.
pub const DEPTH: Code = Code("PF0114");
/// Too large a script.
pub const SIZE: Code = Code("PF0115");
/// A script without a probe.
pub const EMPTY: Code = Code("PF0116");
/// A statement outside of a probe.
pub const OUTSIDE: Code = Code("PF0117");
/// A block without its braces, or an `else` without its `if`.
pub const BRACES: Code = Code("PF0118");

/// Every code of this crate with the text that explains it.
pub const EXPLANATIONS: &[(Code, &str)] = &[];

/// `span` is nested deeper than [`MAX_DEPTH`].
pub(crate) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(DEPTH, span, format!("this is nested more than {MAX_DEPTH} levels deep"))
        .help("split it: give parts of it names with `$x = ...`, or use several statements")
}
