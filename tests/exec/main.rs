//! One evaluator: an expression has one value, wherever it is computed.
//!
//! Random integer expressions of all types and operators, edges first, are folded by the compiler,
//! run by the kernel and run in a user-space machine; all must agree with the reference of
//! `expression.rs`. `PFSCRIPT_EXEC_EXPRESSIONS` says how many (400), `PFSCRIPT_EXEC_SEED` which.

mod expression;
mod in_kernel;
mod in_vm;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "every test crate takes its part of the rig")]
mod rig;

use std::env;

use libtest_mimic::{Arguments, Failed, Trial};
use pfscript::kernel::Kernel;
use pfscript_compiler::{Options, dump_ir};
use pfscript_grammar::{SourceFile, parse};

use crate::expression::{INT64, Number, UINT64};
use crate::in_kernel::{Case, Form};
use crate::rig::need::{self, Need};
use crate::rig::random::Random;

/// Expressions in one script.
const BATCH: usize = 400;
const DEPTH: usize = 4;

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        Trial::test("reference", reference),
        Trial::test("folded", folded),
        need::trial("kernel", &[Need::Root], kernel),
        Trial::test("vm", vm),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number in the variable"))
}

/// The same expressions for every test.
fn cases() -> Vec<Case> {
    let count = number("PFSCRIPT_EXEC_EXPRESSIONS", 400);
    let first = number("PFSCRIPT_EXEC_SEED", 1);
    (first..first + count).map(case).collect()
}

fn case(seed: u64) -> Case {
    let mut leaves = Vec::new();
    let expr = expression::random(&mut Random::new(seed), DEPTH, &mut leaves);
    Case { expr, leaves }
}

fn kernel() -> Result<(), Failed> {
    let cases = cases();
    let compared = cases.chunks(BATCH).map(in_kernel::run).sum::<Result<usize, Failed>>()?;
    enough("in the kernel", compared, cases.len())
}

fn vm() -> Result<(), Failed> {
    let cases = cases();
    let compared = in_vm::run(&cases)?;
    enough("in the machine", compared, cases.len() / 2)
}

/// A test that compares hardly anything must not pass.
fn enough(place: &str, compared: usize, least: usize) -> Result<(), Failed> {
    println!("{compared} values compared {place}");
    if compared >= least { Ok(()) } else { Err(format!("only {compared} values were compared {place}").into()) }
}

/// Of literals nothing is left but the value.
fn folded() -> Result<(), Failed> {
    for case in cases() {
        let Some(expr) = case.write(Form::Folded, &|number, _| number.literal()) else { continue };
        let source = SourceFile::new("exec.pf", format!("BEGIN {{ @x = {expr}; }}"));
        let wrong = |diagnostics| format!("{expr} is refused: {diagnostics:?}");
        let script = parse(&source).map_err(wrong)?;
        let ir = dump_ir(&script, &Kernel::new(), &Options::default(), Some("fold_constants")).map_err(wrong)?;
        let stored = ir.lines().find_map(|line| line.trim().strip_prefix("map_store ")?.split(',').next());
        let stored = stored.ok_or_else(|| format!("{expr} is not stored:\n{ir}"))?;
        let expected = format!("{stored} = iconst {}", INT64.wrap(case.expr.evaluate().value));
        if !ir.lines().any(|line| line.trim() == expected) {
            return Err(format!("{expr} is not folded to {expected}:\n{ir}").into());
        }
    }
    Ok(())
}

/// Some values that C's rules and the manual of eBPF give, lest the reference be wrong.
fn reference() -> Result<(), Failed> {
    let leaf = |ty, value| Box::new(expression::Expr::Leaf(Number { ty, value }, 0));
    let known = [
        ("/", INT64, -7, INT64, 2, -3),
        ("%", INT64, -7, INT64, 2, -1),
        ("/", INT64, i64::MIN.into(), INT64, -1, i64::MIN.into()),
        ("%", INT64, i64::MIN.into(), INT64, -1, 0),
        ("/", INT64, 5, INT64, 0, 0),
        ("%", INT64, -5, INT64, 0, -5),
        ("<<", INT64, 1, INT64, 64, 1),
        (">>", INT64, -8, INT64, 65, -4),
        (">>", UINT64, u64::MAX.into(), INT64, 63, 1),
        ("<", INT64, -1, UINT64, 1, 0),
        ("+", UINT64, u64::MAX.into(), INT64, 1, 0),
        ("*", UINT64, u64::MAX.into(), UINT64, u64::MAX.into(), 1),
    ];
    for (op, left, a, right, b, expected) in known {
        let found = expression::Expr::Binary(op, leaf(left, a), leaf(right, b)).evaluate().value;
        if found != expected {
            return Err(format!("{a} {op} {b} is {found} where {expected} is known").into());
        }
    }
    Ok(())
}
