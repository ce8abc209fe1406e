//! What a script may have at most, so that no text makes any stage run long or deep.

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
pub(crate) const MAX_ERRORS: usize = 20;
