//! How far the kernel's verifier has to follow a program, which it does round by round of a loop:
//! what is too far for it is refused here, at the loop, and not by the kernel.
//!
//! Where the rounds of a loop end up in the code is told by the places in the script that its
//! instructions come from.

use pfscript_grammar::{Diagnostic, Span};

use crate::bpf::decode::decode_all;
use crate::bpf::inst::Inst;
use crate::catalog::codes;
use crate::check::program::{CheckedProbe, Stmt, StmtKind};
use crate::emit::Bytecode;

/// On one way through a program the verifier keeps so many branches in mind
/// (`BPF_COMPLEXITY_LIMIT_JMP_SEQ` of `kernel/bpf/verifier.c`).
const MAX_BRANCHES: u64 = 8192;
/// On all ways it looks at a million instructions (`BPF_COMPLEXITY_LIMIT_INSNS`); most of them it
/// meets on more than one.
const MAX_INSTS: u64 = 125_000;
/// It runs a callback until nothing changes, among all that it has kept of earlier runs.
const CALLBACK_INSTS: u64 = 1000;

/// Checks what the verifier has to follow of a program and the callbacks that it has.
///
/// # Errors
/// That it is too much, said of the loop with the most rounds.
pub fn check<'a>(probe: &CheckedProbe, code: impl Iterator<Item = &'a Bytecode>) -> Result<(), Diagnostic> {
    let mut rounds = Rounds::default();
    rounds.collect(&probe.body, 1);
    let (mut branches, mut insts) = (0_u64, 0_u64);
    for code in code {
        let decoded = decode_all(&code.bytes).expect("the compiler writes what it reads");
        let mut slot = 0;
        for inst in decoded {
            let times = rounds.at(code.spans[slot]);
            let cost = if code.is_callback(slot) { CALLBACK_INSTS } else { 1 };
            insts = insts.saturating_add(times.saturating_mul(cost));
            if let Inst::Branch { .. } = inst {
                branches = branches.saturating_add(times);
            }
            slot += inst.slots();
        }
    }
    if branches <= MAX_BRANCHES && insts <= MAX_INSTS { Ok(()) } else { Err(rounds.too_many(probe, branches, insts)) }
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

    fn at(&self, span: Span) -> u64 {
        let behind = self.from.partition_point(|&(start, _)| start <= span.start);
        behind.checked_sub(1).map_or(1, |index| self.from[index].1)
    }

    fn too_many(&self, probe: &CheckedProbe, branches: u64, insts: u64) -> Diagnostic {
        let what = match branches > MAX_BRANCHES {
            true => format!("{branches} branches, {MAX_BRANCHES} are allowed"),
            false => format!("{insts} instructions, {MAX_INSTS} are allowed"),
        };
        let message = format!("{} is too long for the kernel, which would have to follow {what}", probe.probe);
        match self.most {
            Some((_, span)) => Diagnostic::error(codes::TOO_LONG, span, message)
                .help("let the loop have fewer rounds, or do less in each: an element of a map costs three branches"),
            None => Diagnostic::error(codes::TOO_LONG, probe.span, message).help("split it into several probes"),
        }
    }
}
