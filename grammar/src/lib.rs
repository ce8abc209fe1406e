//! The pfscript language: script text to syntax tree.
//!
//! This crate is the only one that knows pest. It knows nothing of eBPF, kernels or types: it
//! says what was *written*, with a [`Span`] on every node, and leaves what it *means* to the
//! compiler.
//!
//! ```text
//! text -parse_tree-> Pairs -build_ast-> ast::Script
//!                 \-recover, explain-> Vec<Diagnostic>
//! ```

#![forbid(unsafe_code)]

pub mod ast;
mod build_ast;
pub mod codes;
pub mod diagnostic;
mod explain;
mod limits;
mod literal;
mod outline;
mod parse_tree;
mod print_ast;
mod recover;
pub mod soundness;
pub mod source;
mod tokens;
pub mod walk;

pub use diagnostic::{Code, Diagnostic, Label, Severity};
pub use limits::{MAX_DEPTH, MAX_SCRIPT_BYTES};
pub use literal::TIME_UNITS;
pub use print_ast::print_ast;
pub use source::{LineColumn, SourceFile, Span};

use build_ast::Builder;
use parse_tree::{Rule, parse_tree};

/// Parses a script.
///
/// # Errors
/// Everything that is wrong with its syntax, in the order of the text; never empty.
pub fn parse(source: &SourceFile) -> Result<ast::Script, Vec<Diagnostic>> {
    let text = source.text();
    if let Some(error) = beyond_limits(text) {
        return Err(vec![error]);
    }
    let mut pairs = parse_tree(Rule::script, text).map_err(|stuck| recover::mistakes(text, stuck))?;
    let builder = Builder::new(0);
    let script = builder.script(pairs.next().expect("the entry rule gives one pair"));
    let mut errors = builder.into_errors();
    if errors.is_empty() && script.probes().next().is_none() {
        errors.push(codes::no_probe(text, &script));
    }
    if errors.is_empty() { Ok(script) } else { Err(limits::told(errors)) }
}

fn beyond_limits(text: &str) -> Option<Diagnostic> {
    if text.len() > MAX_SCRIPT_BYTES {
        return Some(codes::too_large(text.len()));
    }
    tokens::too_deep(text).map(|token| codes::too_deep(Span::new(token.start, token.end)))
}
