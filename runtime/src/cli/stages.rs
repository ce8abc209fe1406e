//! Stand-ins for the compiler's and the session's entry points, until all are in one tree.
//!
//! Wiring: delete this file and let `cli/run.rs` import the real ones.

use std::fmt;

use pfscript_compiler::kernel::{KernelInfo, TracepointFormat, Unavailable};
use pfscript_compiler::manifest::AttachSpec;
use pfscript_compiler::params::{ParamSpec, ParamType, ParamValue};
use pfscript_compiler::{Artifact, Options};
use pfscript_grammar::{Code, Diagnostic, SourceFile, Span, ast};

use crate::cli::args::Args;
use crate::output::sink::Sink;

fn missing<T>() -> Result<T, Vec<Diagnostic>> {
    Err(vec![Diagnostic::error(Code("PF0000"), Span::new(0, 1), "this stage is not wired yet")])
}

/// `pfscript_grammar::parse`
pub fn parse(_source: &SourceFile) -> Result<ast::Script, Vec<Diagnostic>> {
    Ok(ast::Script::default())
}

/// `pfscript_grammar::print_ast`
pub fn print_ast(_script: &ast::Script, source: &SourceFile) -> String {
    source.text().to_owned()
}

/// `pfscript_compiler::declared_params`
pub fn declared_params(_script: &ast::Script) -> Result<Vec<ParamSpec>, Vec<Diagnostic>> {
    Ok(vec![ParamSpec {
        name: "log_step".into(),
        ty: ParamType::Int { name: "uint64", low: 1, high: u64::MAX.into(), ranged: true },
        default: Some(ParamValue::Int(50)),
        help: "report every this many page faults of a process".into(),
    }])
}

/// `pfscript_compiler::compile`
pub fn compile(_: &SourceFile, _: &ast::Script, _: &dyn KernelInfo, _: &Options) -> Result<Artifact, Vec<Diagnostic>> {
    missing()
}

/// `pfscript_compiler::dump_ir`
pub fn dump_ir(
    _: &SourceFile,
    _: &ast::Script,
    _: &dyn KernelInfo,
    _: &Options,
    _stage: Option<&str>,
) -> Result<String, Vec<Diagnostic>> {
    missing()
}

/// `pfscript_compiler::dump_bytecode`
pub fn dump_bytecode(_: &Artifact, _: &SourceFile) -> String {
    String::new()
}

/// `crate::kernel::Kernel`
#[derive(Debug, Default)]
pub struct Kernel;

impl Kernel {
    /// The running kernel.
    pub fn new() -> Self {
        Self
    }
}

impl KernelInfo for Kernel {
    fn tracepoint(&self, _: &str, _: &str) -> Result<TracepointFormat, Unavailable> {
        Err(Unavailable::NotFound)
    }

    fn tracepoints(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn offers(&self, _: &AttachSpec) -> Result<(), Unavailable> {
        Err(Unavailable::NotFound)
    }

    fn release(&self) -> (u32, u32) {
        (6, 1)
    }
}

/// `crate::failure::Failure`
#[derive(Debug)]
pub struct Failure;

impl Failure {
    /// The place in the script.
    pub fn span(&self) -> Option<Span> {
        None
    }

    /// What to do.
    pub fn help(&self) -> Vec<String> {
        Vec::new()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session is not wired yet")
    }
}

/// `crate::session::run`: gives the exit code.
pub fn session(_: &Artifact, _: &Kernel, _: &Args, _: &mut dyn Sink) -> Result<u8, Failure> {
    Err(Failure)
}
