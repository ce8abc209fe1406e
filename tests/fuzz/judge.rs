//! What compiler and kernel say to a script.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pfscript::attach;
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
    let all = programs.clone().count();
    let targets: Vec<Target> = programs.filter_map(|program| loadable(program, kernel)).collect();
    let loader = match Loader::new(&artifact, kernel) {
        Ok(loader) => loader,
        Err(failure) => return Verdict::Rejected(explain(&failure)),
    };
    for target in &targets {
        if let Err(failure) = loader.load_target(target, Vec::new()) {
            return Verdict::Rejected(explain(&failure));
        }
    }
    Verdict::Loads { loaded: targets.len(), left: all - targets.len() }
}

/// The program as one that this kernel takes: where there are no kprobes they are loaded as uprobes,
/// which the verifier treats alike; uprobes at a place that every machine has; what needs a BPF
/// trampoline only where there are any.
fn loadable(program: &Program, kernel: &Kernel) -> Option<Target> {
    let mut program = program.clone();
    let offered = attach::prerequisite(&program.attach, kernel).is_ok();
    match &program.attach {
        AttachSpec::Fentry { .. } if !offered => return None,
        AttachSpec::Kprobe { ret, .. } | AttachSpec::Uprobe { ret, .. } if !offered => {
            let ret = *ret;
            program.attach = AttachSpec::Uprobe { path: "/bin/sh".into(), function: String::new(), offset: 4096, ret };
        }
        _ => {}
    }
    let span = program.span;
    Some(Target { alternatives: vec![program], span })
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
