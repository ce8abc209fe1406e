//! How far the kernel's verifier has to follow a program, which it does round by round of a loop:
//! what is too far for it is refused here, at the loop, and not by the kernel.
//!
//! Where the rounds of a loop end up in the code is told by the places in the script that its
//! instructions come from.

use pfscript_grammar::{Diagnostic, Span};

use crate::bpf::decode::decode_all;
use crate::bpf::inst::{Inst, Src};
use crate::catalog::codes;
use crate::check::program::{CheckedProbe, Stmt, StmtKind};
use crate::emit::{Bytecode, EmitError, RelocTarget};

/// The callbacks of all programs.
type Callbacks = [Result<Bytecode, EmitError>];

/// On one way through a program the verifier keeps so many branches in mind
/// (`BPF_COMPLEXITY_LIMIT_JMP_SEQ` of `kernel/bpf/verifier.c`).
const MAX_BRANCHES: u64 = 8192;
/// On all ways it looks at a million instructions (`BPF_COMPLEXITY_LIMIT_INSNS`); most of them it
/// meets on several: in generated scripts up to a dozen.
const MAX_INSTS: u64 = 50_000;
/// Where a loop compares two values, each round may leave a way on which they are known to be
/// equal, and which is followed through all later rounds: so many instructions in all.
const MAX_INSTS_OF_COMPARING_LOOPS: u64 = 400_000;
/// It runs a callback until nothing changes, among all that it has kept of earlier runs: so many
/// instructions for each branch in it.
const CALLBACK_INSTS: u64 = 250;

/// That a program and the callbacks that it has are more than the verifier follows, if they are,
/// said of the loop with the most rounds.
pub fn excess(probe: &CheckedProbe, code: &Bytecode, callbacks: &Callbacks) -> Option<Diagnostic> {
    let mut rounds = Rounds::default();
    rounds.collect(&probe.body, 1);
    let effort = rounds.effort(code, callbacks);
    let is_fine = effort.branches <= MAX_BRANCHES
        && effort.insts <= MAX_INSTS
        && (!effort.compares_in_loop || effort.insts_of_rounds <= MAX_INSTS_OF_COMPARING_LOOPS);
    (!is_fine).then(|| rounds.too_many(probe, effort))
}

/// What the verifier has to follow.
#[derive(Clone, Copy, Default)]
struct Effort {
    branches: u64,
    insts: u64,
    /// The instructions of each round, again for each round.
    insts_of_rounds: u64,
    compares_in_loop: bool,
}

/// How often what stands in the script is followed.
#[derive(Default)]
struct Rounds {
    /// From which place on how often, in the order of the script.
    from: Vec<(u32, u64)>,
    most: Option<(u64, Span)>,
}

impl Rounds {
    fn collect(&mut self, stmts: &[Stmt], around: u64) {
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::If { then, otherwise, .. } => {
                    self.collect(then, around);
                    self.collect(otherwise, around);
                }
                StmtKind::Every { body, .. } | StmtKind::Unroll { body, .. } | StmtKind::ForMap { body, .. } => {
                    self.collect(body, around);
                }
                StmtKind::ForRange { low, high, body, .. } => {
                    let times = around.saturating_mul(high.saturating_sub(*low).max(1) as u64);
                    self.from.push((stmt.span.start, times));
                    self.collect(body, times);
                    self.from.push((stmt.span.end, around));
                    if self.most.is_none_or(|(most, _)| times > most) {
                        self.most = Some((times, stmt.span));
                    }
                }
                _ => {}
            }
        }
    }

    /// The effort of a function and of the callbacks that it has.
    fn effort(&self, code: &Bytecode, callbacks: &Callbacks) -> Effort {
        let mut effort = Effort::default();
        let mut slot = 0;
        for inst in decode_all(&code.bytes).expect("the compiler writes what it reads") {
            let times = self.at(code.spans[slot]);
            effort.insts = effort.insts.saturating_add(times);
            if times > 1 {
                effort.insts_of_rounds = effort.insts_of_rounds.saturating_add(times.saturating_mul(times));
            }
            if let Inst::Branch { src, .. } = inst {
                effort.branches = effort.branches.saturating_add(times);
                effort.compares_in_loop |= times > 1 && matches!(src, Src::Reg(_));
            }
            slot += inst.slots();
        }
        for reloc in &code.relocs {
            let RelocTarget::Callback(callback) = reloc.target else { continue };
            let Ok(callback) = &callbacks[callback as usize] else { continue };
            let (times, inner) = (self.at(code.spans[reloc.slot]), self.effort(callback, callbacks));
            effort.branches = effort.branches.saturating_add(inner.branches);
            effort.insts_of_rounds = effort.insts_of_rounds.saturating_add(inner.insts_of_rounds);
            effort.compares_in_loop |= inner.compares_in_loop;
            let insts = times.saturating_mul(CALLBACK_INSTS).saturating_mul(branches_of(callback) + 1);
            effort.insts = effort.insts.saturating_add(insts).saturating_add(inner.insts);
        }
        effort
    }

    fn at(&self, span: Span) -> u64 {
        let behind = self.from.partition_point(|&(start, _)| start <= span.start);
        behind.checked_sub(1).map_or(1, |index| self.from[index].1)
    }

    fn too_many(&self, probe: &CheckedProbe, effort: Effort) -> Diagnostic {
        let Effort { branches, insts, insts_of_rounds, .. } = effort;
        let what = match (branches > MAX_BRANCHES, insts > MAX_INSTS) {
            (true, _) => format!("{branches} branches, {MAX_BRANCHES} are allowed"),
            (_, true) => format!("{insts} instructions, {MAX_INSTS} are allowed"),
            _ => format!("{insts_of_rounds} instructions, {MAX_INSTS_OF_COMPARING_LOOPS} are allowed"),
        };
        let message = format!("{} is too long for the kernel, which would have to follow {what}", probe.probe);
        match self.most {
            Some((_, span)) => Diagnostic::error(codes::TOO_LONG, span, message)
                .help("let the loop have fewer rounds, or do less in each: an element of a map costs three branches"),
            None => Diagnostic::error(codes::TOO_LONG, probe.span, message).help("split it into several probes"),
        }
    }
}

fn branches_of(code: &Bytecode) -> u64 {
    let insts = decode_all(&code.bytes).expect("the compiler writes what it reads");
    insts.iter().filter(|inst| matches!(inst, Inst::Branch { .. })).count() as u64
}
