//! The compiler from end to end, in the order in which things happen.

use pfscript_grammar::{Diagnostic, SourceFile, ast};

use crate::artifact::{Artifact, Options};
use crate::assemble::Code;
use crate::check::program::CheckedProgram;
use crate::emit::{self, Bytecode};
use crate::ir::{Function, Module};
use crate::kernel::KernelInfo;
use crate::manifest::Manifest;
use crate::{assemble, bpf, check, effort, limits, lower, optimize, regalloc};

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
    let object = assemble::object(source, &manifest, &module, &code);
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

fn generate(program: &CheckedProgram, module: &Module) -> Result<Code, Vec<Diagnostic>> {
    let probes = program.targets.iter().flat_map(|target| &target.alternatives);
    let callbacks: Vec<_> = module.callbacks.iter().map(generate_function).collect();
    let (mut programs, mut refused) = (Vec::new(), Vec::new());
    for (probe, func) in probes.zip(&module.functions) {
        match generate_function(func).and_then(|code| limits::with_callbacks(code, &callbacks)) {
            Ok(bytecode) => match effort::excess(probe, &bytecode, &callbacks) {
                None => programs.push(bytecode),
                Some(diagnostic) => refused.push(diagnostic),
            },
            Err(refusal) => refused.push(limits::explain(probe, &refusal)),
        }
    }
    // Those that were refused belong to programs that were.
    let callbacks = callbacks.into_iter().flatten().collect();
    let flush = module.flush.as_ref().map(generate_function).transpose().expect("what sends records fits anywhere");
    if refused.is_empty() { Ok(Code { programs, callbacks, flush }) } else { Err(refused) }
}

fn generate_function(func: &Function) -> Result<Bytecode, emit::EmitError> {
    let vcode = bpf::select(func);
    let allocation = regalloc::allocate(&vcode).expect("selection keeps the invariants of VCode");
    emit::emit(&vcode, &allocation)
}
