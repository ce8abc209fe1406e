//! What a script asks of the kernel that no kernel gives, said at the script's line.

use pfscript_grammar::Diagnostic;

use crate::catalog::codes;
use crate::check::program::CheckedProbe;
use crate::emit::EmitError;

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
