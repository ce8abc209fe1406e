//! What compiler and kernel say to a script.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pfscript::failure::Failure;
use pfscript::kernel::Kernel;
use pfscript::load::Loader;
use pfscript_compiler::manifest::{AttachSpec, Program, Target};
use pfscript_compiler::{Artifact, KernelInfo, Options, compile};
use pfscript_grammar::{Diagnostic, SourceFile, parse};

/// What became of a script.
#[derive(Debug)]
pub enum Verdict {
    /// So many programs were loaded, and so many need what this machine does not have: BPF
    /// trampolines.
    Loads { loaded: usize, left: usize },
    /// The script is wrong.
    Refused(Vec<Diagnostic>),
    /// A bug: the kernel rejected what the compiler made.
    Rejected(String),
    /// A bug: the compiler panicked.
    Panicked(String),
}

impl Verdict {
    /// Whether it shows a bug.
    pub fn is_bug(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::Panicked(_))
    }
}

/// Compiles a script; nothing is loaded.
pub fn compiled(text: &str, kernel: &dyn KernelInfo) -> Result<Artifact, Verdict> {
    let source = SourceFile::new("generated.pf", text);
    let attempt = || compile(&source, &parse(&source)?, kernel, &Options::default());
    match catch_unwind(AssertUnwindSafe(attempt)) {
        Ok(result) => result.map_err(Verdict::Refused),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Verdict::Panicked(message.unwrap_or_default()))
        }
    }
}

/// Compiles a script and loads every program of it, all alternatives included.
pub fn judge(text: &str, kernel: &Kernel) -> Verdict {
    let artifact = match compiled(text, kernel) {
        Ok(artifact) => artifact,
        Err(verdict) => return verdict,
    };
    let programs = artifact.manifest.targets.iter().flat_map(|target| &target.alternatives);
    let targets: Vec<Target> = programs.map(loadable).collect();
    let loader = match Loader::new(&artifact, kernel) {
        Ok(loader) => loader,
        Err(failure) => return Verdict::Rejected(explain(&failure)),
    };
    let mut left = 0;
    for target in &targets {
        match loader.load_target(target, Vec::new()) {
            Ok(_) => {}
            Err(Failure::NothingToAttach { .. }) if needs_trampoline(target) => left += 1,
            Err(failure) => return Verdict::Rejected(explain(&failure)),
        }
    }
    Verdict::Loads { loaded: targets.len() - left, left }
}

fn needs_trampoline(target: &Target) -> bool {
    target.alternatives.iter().all(|program| matches!(program.attach, AttachSpec::Fentry { .. }))
}

/// The program as one that any kernel takes: kprobes are loaded as uprobes, which the verifier
/// treats alike, and these at some address in a file that every machine has.
fn loadable(program: &Program) -> Target {
    let mut program = program.clone();
    if let AttachSpec::Kprobe { ret, .. } | AttachSpec::Uprobe { ret, .. } = program.attach {
        program.attach = AttachSpec::Uprobe { path: "/bin/sh".into(), function: String::new(), offset: 4096, ret };
    }
    let span = program.span;
    Target { alternatives: vec![program], span }
}

/// Why something was not loaded, with the end of the verifier's log.
fn explain(failure: &Failure) -> String {
    let log = match failure {
        Failure::Rejected(rejection) => rejection.log.as_str(),
        _ => "",
    };
    let lines: Vec<&str> = log.lines().collect();
    let end = lines[lines.len().saturating_sub(25)..].join("\n");
    format!("{failure}\n{end}").chars().take(6000).collect()
}
