//! Computes at compile time what does not depend on the moment: arithmetic on constants,
//! identities (`x + 0`, `x * 1`), branches on constants, and block parameters that are always
//! given the same value. The evaluator is `arithmetic`, so folding never changes a value.

use super::rewrite::Replacements;
use crate::arithmetic;
use crate::ir::flow::ControlFlow;
use crate::ir::{BinaryOp, Block, BlockCall, CmpOp, Function, Inst, InstData, Value};

/// Folds until nothing changes any more: each round either folds a branch or parameter, of which
/// there are finitely many, or is the last.
pub fn fold_constants(func: &mut Function) {
    loop {
        fold_instructions(func);
        let folded = fold_branches(func);
        if !drop_constant_params(func) && !folded {
            return;
        }
    }
}

fn fold_instructions(func: &mut Function) {
    let mut replacements = Replacements::new();
    for block in ControlFlow::of(func).reverse_post_order {
        for inst in func.blocks[block].insts.clone() {
            func.insts[inst].data.for_each_operand_mut(|operand| *operand = replacements.of(*operand));
            match folded(func, inst) {
                None => {}
                Some(Folded::To(data)) => func.insts[inst].data = data,
                Some(Folded::Same(value)) => {
                    let result = func.insts[inst].result.expect("only instructions with a value fold to another");
                    replacements.replace(result, value);
                }
            }
        }
    }
    replacements.apply(func);
}

enum Folded {
    /// The instruction does this instead.
    To(InstData),
    /// Its value is this one.
    Same(Value),
}

fn folded(func: &Function, inst: Inst) -> Option<Folded> {
    let constant = |imm: i64| Some(Folded::To(InstData::Iconst { imm }));
    match func.insts[inst].data {
        InstData::Binary { op, args: [a, b] } => match (func.constant(a), func.constant(b)) {
            (Some(x), Some(y)) => constant(arithmetic::binary(op, x, y)),
            (Some(x), None) if is_commutative(op) => {
                folded_identity(op, b, x).or(Some(Folded::To(InstData::Binary { op, args: [b, a] })))
            }
            (None, Some(y)) => folded_identity(op, a, y),
            _ => None,
        },
        InstData::Icmp { op, args: [a, b] } => match (func.constant(a), func.constant(b)) {
            (Some(x), Some(y)) => constant(arithmetic::compare(op, x, y).into()),
            (Some(_), None) => Some(Folded::To(InstData::Icmp { op: op.swapped(), args: [b, a] })),
            (None, Some(y)) => folded_comparison(func, op, a, y),
            _ => None,
        },
        InstData::Extend { signed, bytes, arg } => match (func.constant(arg), func.def(arg)) {
            (Some(x), _) => constant(arithmetic::extend(signed, bytes, x)),
            (_, Some(&InstData::Load { bytes: loaded, signed: false, .. })) if !signed && loaded <= bytes => {
                Some(Folded::Same(arg))
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_commutative(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Add | BinaryOp::Mul | BinaryOp::And | BinaryOp::Or | BinaryOp::Xor)
}

/// `value op number` where that is `value` or a constant.
fn folded_identity(op: BinaryOp, value: Value, number: i64) -> Option<Folded> {
    match (op, number) {
        (BinaryOp::Add | BinaryOp::Sub | BinaryOp::Or | BinaryOp::Xor, 0)
        | (BinaryOp::Shl | BinaryOp::Lshr | BinaryOp::Ashr, 0)
        | (BinaryOp::Mul | BinaryOp::Udiv | BinaryOp::Sdiv, 1)
        | (BinaryOp::And, -1) => Some(Folded::Same(value)),
        (BinaryOp::Mul | BinaryOp::And, 0) | (BinaryOp::Urem | BinaryOp::Srem, 1) => {
            Some(Folded::To(InstData::Iconst { imm: 0 }))
        }
        _ => None,
    }
}

/// `value op number` where `value` is itself a comparison and the question is which way it went.
fn folded_comparison(func: &Function, op: CmpOp, value: Value, number: i64) -> Option<Folded> {
    let &InstData::Icmp { op: inner, args } = func.def(value)? else { return None };
    match (op, number) {
        (CmpOp::Ne, 0) | (CmpOp::Eq, 1) => Some(Folded::Same(value)),
        (CmpOp::Eq, 0) | (CmpOp::Ne, 1) => Some(Folded::To(InstData::Icmp { op: inner.inverse(), args })),
        _ => None,
    }
}

/// Turns branches on constants, and branches whose sides agree, into jumps.
fn fold_branches(func: &mut Function) -> bool {
    let mut changed = false;
    for index in 0..func.layout.len() {
        let block = func.layout[index];
        let Some(&last) = func.blocks[block].insts.last() else { continue };
        if let Some(terminator) = folded_branch(func, &func.insts[last].data) {
            func.insts[last].data = terminator;
            changed = true;
        }
    }
    if changed {
        remove_unreachable(func);
    }
    changed
}

fn folded_branch(func: &Function, terminator: &InstData) -> Option<InstData> {
    let InstData::Brif { cond, then, otherwise } = terminator else { return None };
    if let Some(number) = func.constant(*cond) {
        let dest = if number != 0 { then } else { otherwise };
        return Some(InstData::Jump { dest: dest.clone() });
    }
    if then == otherwise {
        return Some(InstData::Jump { dest: then.clone() });
    }
    // `brif (x != 0)` is `brif x`, and `brif (x == 0)` the same with its sides exchanged.
    let &InstData::Icmp { op, args: [a, b] } = func.def(*cond)? else { return None };
    let is_number = func.ty(a) == crate::ir::Type::I64 && func.constant(b) == Some(0);
    match op {
        CmpOp::Ne if is_number => Some(branch(a, then, otherwise)),
        CmpOp::Eq if is_number => Some(branch(a, otherwise, then)),
        _ => None,
    }
}

fn branch(cond: Value, then: &BlockCall, otherwise: &BlockCall) -> InstData {
    InstData::Brif { cond, then: then.clone(), otherwise: otherwise.clone() }
}

/// Takes blocks that no path reaches out of the layout.
pub fn remove_unreachable(func: &mut Function) {
    let flow = ControlFlow::of(func);
    func.layout.retain(|&block| flow.is_reachable(block));
}

/// Drops block parameters that every jump gives the same value, or themselves.
fn drop_constant_params(func: &mut Function) -> bool {
    let flow = ControlFlow::of(func);
    let mut replacements = Replacements::new();
    for &block in &flow.reverse_post_order[1..] {
        for index in (0..func.blocks[block].params.len()).rev() {
            if let Some(value) = only_argument(func, &flow, block, index, &replacements) {
                let param = func.blocks[block].params[index];
                replacements.replace(param, value);
                remove_param(func, &flow, block, index);
            }
        }
    }
    let changed = !replacements.is_empty();
    replacements.apply(func);
    changed
}

fn only_argument(
    func: &Function,
    flow: &ControlFlow,
    block: Block,
    index: usize,
    replacements: &Replacements,
) -> Option<Value> {
    let param = func.blocks[block].params[index];
    let mut only = None;
    for &pred in &flow.predecessors[block] {
        for call in func.terminator(pred).successors().filter(|call| call.block == block) {
            let value = replacements.of(call.args[index]);
            if value != param && *only.get_or_insert(value) != value {
                return None;
            }
        }
    }
    only
}

fn remove_param(func: &mut Function, flow: &ControlFlow, block: Block, index: usize) {
    func.blocks[block].params.remove(index);
    for (position, &param) in func.blocks[block].params.clone().iter().enumerate() {
        func.values[param].def = crate::ir::function::ValueDef::Param(block, position);
    }
    let mut predecessors = flow.predecessors[block].clone();
    predecessors.dedup();
    for pred in predecessors {
        let last = *func.blocks[pred].insts.last().expect("every block ends in a terminator");
        for call in func.insts[last].data.successors_mut().filter(|call| call.block == block) {
            call.args.remove(index);
        }
    }
}
