//! What a script asks of the kernel that no kernel gives, said at the script's line.

use pfscript_grammar::Diagnostic;

use crate::bpf::regs::STACK_LIMIT;
use crate::catalog::codes;
use crate::check::program::CheckedProbe;
use crate::emit::{Bytecode, EmitError};

/// The code of a program, unless it or a callback of it is refused.
///
/// The kernel adds up the stack of functions that call each other, each rounded up.
pub fn with_callbacks(code: Bytecode, callbacks: &[Result<Bytecode, EmitError>]) -> Result<Bytecode, EmitError> {
    if code.callbacks().next().is_none() {
        return Ok(code);
    }
    match stack_of(&code, callbacks)? {
        bytes if bytes > STACK_LIMIT => Err(EmitError::StackTooLarge { bytes }),
        _ => Ok(code),
    }
}

fn stack_of(code: &Bytecode, callbacks: &[Result<Bytecode, EmitError>]) -> Result<u32, EmitError> {
    /// To what `check_max_stack_depth` of `kernel/bpf/verifier.c` rounds up.
    const ROUNDED_TO: u32 = 32;
    let mut deepest = 0;
    for callback in code.callbacks() {
        let callee = callbacks[callback].as_ref().map_err(|&refused| refused)?;
        deepest = deepest.max(stack_of(callee, callbacks)?);
    }
    Ok(code.stack_bytes.max(1).next_multiple_of(ROUNDED_TO) + deepest)
}

/// The diagnostic for a program that cannot be emitted.
pub fn explain(probe: &CheckedProbe, refusal: &EmitError) -> Diagnostic {
    match refusal {
        EmitError::StackTooLarge { bytes } => {
            let message = format!("{} needs {bytes} bytes of stack, the kernel allows 512", probe.probe);
            Diagnostic::error(codes::STACK, probe.span, message)
                .help("use shorter strings (`let $s: string[16]`), fewer of them at once, or two probes")
        }
        EmitError::JumpTooFar { .. } => {
            let message = format!("{} is too long: a jump in it is farther than eBPF allows", probe.probe);
            Diagnostic::error(codes::TOO_LONG, probe.span, message).help("split it into several probes")
        }
    }
}
