//! The compiler from end to end, in the order in which things happen.

use pfscript_grammar::{Diagnostic, SourceFile, ast};

use crate::artifact::{Artifact, Options};
use crate::check::program::CheckedProgram;
use crate::emit::{self, Bytecode};
use crate::ir::{Function, Module};
use crate::kernel::KernelInfo;
use crate::manifest::Manifest;
use crate::{assemble, bpf, check, limits, lower, optimize, regalloc};

/// Compiles a script to an object and its manifest.
///
/// # Errors
/// Everything that is wrong with the script.
pub fn compile(
    source: &SourceFile,
    script: &ast::Script,
    kernel: &dyn KernelInfo,
    options: &Options,
) -> Result<Artifact, Vec<Diagnostic>> {
    let program = check::check(script, kernel, options)?;
    let program = assemble::choose_alternatives(program, kernel, options.alternatives);
    let module = optimize::optimize(lower::lower(&program), None);
    let code = generate(&program, &module)?;
    let manifest: Manifest = assemble::manifest(&program, &module, &code);
    let object = assemble::object(source, &manifest, &code);
    Ok(Artifact { object, manifest, warnings: program.warnings })
}

/// The IR after the pass called `last`, or after all, in its textual form.
///
/// # Errors
/// Everything that is wrong with the script.
pub fn dump_ir(
    script: &ast::Script,
    kernel: &dyn KernelInfo,
    options: &Options,
    last: Option<&str>,
) -> Result<String, Vec<Diagnostic>> {
    let program = check::check(script, kernel, options)?;
    Ok(optimize::optimize(lower::lower(&program), last).to_string())
}

fn generate(program: &CheckedProgram, module: &Module) -> Result<Vec<Bytecode>, Vec<Diagnostic>> {
    let probes = program.targets.iter().flat_map(|target| &target.alternatives);
    let compiled = probes.zip(&module.functions).map(|(probe, func)| {
        let code = generate_function(func);
        code.map_err(|refusal| limits::explain(probe, &refusal))
    });
    let (codes, refused): (Vec<_>, Vec<_>) = compiled.partition(Result::is_ok);
    match refused.is_empty() {
        true => Ok(codes.into_iter().flatten().collect()),
        false => Err(refused.into_iter().filter_map(Result::err).collect()),
    }
}

fn generate_function(func: &Function) -> Result<Bytecode, emit::EmitError> {
    let vcode = bpf::select(func);
    let allocation = regalloc::allocate(&vcode).expect("selection keeps the invariants of VCode");
    emit::emit(&vcode, &allocation)
}
