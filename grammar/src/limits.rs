//! What a script may have at most, so that no text makes any stage run long or deep.

use crate::diagnostic::Diagnostic;

/// How deep brackets, blocks and expressions may nest.
///
/// Brackets of all kinds and pending `?` count together; so do the levels of an expression's
/// tree (`a + b + c` has three, for it means `(a + b) + c`) and those of blocks, where each
/// `else if` is one more. Every walk over a tree may therefore recurse: its depth is at most
/// [`MAX_DEPTH`] blocks and, below the innermost, [`MAX_DEPTH`] expressions.
pub const MAX_DEPTH: u32 = 200;

/// How many bytes a script may have.
///
/// Far above what the kernel would load, and little enough that an answer never keeps a user
/// waiting.
pub const MAX_SCRIPT_BYTES: usize = 1 << 20;

/// How many errors of one script are told at most.
const MAX_ERRORS: usize = 20;

/// No more errors are looked for when there are so many: it is known then that not all are told.
pub(crate) const ENOUGH_ERRORS: usize = MAX_ERRORS + 1;

/// The errors that are told; the last one says so if there are more.
pub(crate) fn told(mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if errors.len() > MAX_ERRORS {
        errors.truncate(MAX_ERRORS);
        let last =
            errors.pop().map(|last| last.help(format!("there are more errors: these are the first {MAX_ERRORS}")));
        errors.extend(last);
    }
    errors
}
