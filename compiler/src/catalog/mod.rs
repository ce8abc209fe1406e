//! What a script may name, one row each: type rule, lowering, documentation, oldest kernel.

pub mod helpers;
