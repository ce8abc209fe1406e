//! The pfscript language: script text to syntax tree.
//!
//! This crate is the only one that knows pest. It knows nothing of eBPF, kernels or types: it
//! says what was *written*, with a [`Span`] on every node, and leaves what it *means* to the
//! compiler.
//!
//! ```text
//! text -parse_tree-> Pairs -build_ast-> ast::Script
//! ```

pub mod ast;
pub mod diagnostic;
pub mod source;

pub use diagnostic::{Code, Diagnostic, Label, Severity};
pub use source::{LineColumn, SourceFile, Span};
