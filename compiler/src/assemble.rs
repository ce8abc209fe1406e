//! Puts the results together: programs and tables to manifest and object.

use pfscript_grammar::{SourceFile, Span};

use crate::artifact::Alternatives;
use crate::catalog::probe_kinds;
use crate::check::program::{CheckedProbe, CheckedProgram, CheckedTarget};
use crate::emit::Bytecode;
use crate::ir::Module;
use crate::kernel::KernelInfo;
use crate::lower::FLUSH;
use crate::manifest::{AttachSpec, Manifest, Program, Target};
use crate::write_object::{self, CallbackCode, ObjectSpec, ProgramCode};

/// The code of all programs and callbacks.
pub struct Code {
    /// In the order of targets and alternatives.
    pub programs: Vec<Bytecode>,
    /// By the number in [`RelocTarget::Callback`](crate::emit::RelocTarget::Callback).
    pub callbacks: Vec<Bytecode>,
    /// What sends staged records.
    pub flush: Option<Bytecode>,
}

impl Code {
    /// The callbacks that `code` uses, in the order of [`Program::callbacks`].
    fn callbacks_of(&self, code: &Bytecode) -> Vec<usize> {
        let mut found = Vec::new();
        self.follow(code, &mut found);
        found
    }

    fn follow(&self, code: &Bytecode, found: &mut Vec<usize>) {
        for callback in code.callbacks() {
            if !found.contains(&callback) {
                found.push(callback);
                self.follow(&self.callbacks[callback], found);
            }
        }
    }
}

/// Keeps of each `or` what `which` says.
pub fn choose_alternatives(
    mut program: CheckedProgram,
    kernel: &dyn KernelInfo,
    which: Alternatives,
) -> CheckedProgram {
    if which == Alternatives::FirstOffered {
        for target in &mut program.targets {
            keep_first_offered(target, kernel);
        }
    }
    program
}

fn keep_first_offered(target: &mut CheckedTarget, kernel: &dyn KernelInfo) {
    let offered = target.alternatives.iter().position(|probe| kernel.offers(&probe.attach).is_ok());
    let kept = offered.unwrap_or(target.alternatives.len() - 1);
    target.alternatives = vec![target.alternatives.swap_remove(kept)];
}

/// Describes the programs for the runtime; `code` is in the order of targets and alternatives.
pub fn manifest(program: &CheckedProgram, module: &Module, code: &Code) -> Manifest {
    let mut programs = code.programs.iter();
    let mut described = |probe: &CheckedProbe| {
        let own = programs.next().expect("every probe has its code");
        let callbacks = code.callbacks_of(own);
        let all = std::iter::once(own).chain(callbacks.iter().map(|&callback| &code.callbacks[callback]));
        Program {
            symbol: probe.symbol.clone(),
            section: probe_kinds::section(&probe.attach),
            attach: probe.attach.clone(),
            probe: probe.probe.clone(),
            span: probe.span,
            inst_spans: all.flat_map(|code| code.spans.iter().copied()).collect(),
            callbacks: callbacks.iter().map(|&callback| module.callbacks[callback].name.clone()).collect(),
        }
    };
    let targets = program
        .targets
        .iter()
        .map(|target| Target {
            alternatives: target.alternatives.iter().map(&mut described).collect(),
            span: target.span,
        })
        .collect();
    Manifest {
        targets,
        maps: module.tables.maps.clone(),
        records: module.tables.records.clone(),
        counters: module.tables.bss.counters.clone(),
        start_time_offset: module.tables.bss.start_time,
        bss_size: module.tables.bss.size(),
        stack_depths: module.tables.stack_depths.clone(),
        flush: code.flush.as_ref().map(flush_program),
        notes: program.notes.clone(),
    }
}

/// What sends staged records: no probe, and no line of the script, is behind it.
fn flush_program(code: &Bytecode) -> Program {
    let attach = AttachSpec::RawTracepoint { name: "pfscript_flush".into() };
    Program {
        symbol: FLUSH.into(),
        section: probe_kinds::section(&attach),
        attach,
        probe: FLUSH.into(),
        span: Span::default(),
        inst_spans: code.spans.clone(),
        callbacks: Vec::new(),
    }
}

/// Writes the object that `manifest` describes.
pub fn object(source: &SourceFile, manifest: &Manifest, module: &Module, code: &Code) -> Vec<u8> {
    let described = manifest.targets.iter().flat_map(|target| &target.alternatives).chain(&manifest.flush);
    let programs = described
        .zip(code.programs.iter().chain(&code.flush))
        .map(|(program, bytecode)| ProgramCode { symbol: &program.symbol, section: &program.section, bytecode })
        .collect();
    let callbacks = module.callbacks.iter().zip(&code.callbacks);
    write_object::write_object(&ObjectSpec {
        programs,
        callbacks: callbacks.map(|(func, bytecode)| CallbackCode { symbol: &func.name, bytecode }).collect(),
        maps: &manifest.maps,
        has_events: !manifest.records.is_empty(),
        stack_depths: &manifest.stack_depths,
        has_stage: manifest.flush.is_some(),
        bss_size: manifest.bss_size,
        source,
    })
}
