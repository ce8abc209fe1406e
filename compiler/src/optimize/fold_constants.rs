//! Computes at compile time what does not depend on the moment: arithmetic on constants,
//! identities (`x + 0`, `x * 1`), branches on constants, and block parameters that are always
//! given the same value. The evaluator is `arithmetic`, so folding never changes a value.

use std::rc::Rc;

use cranelift_entity::EntitySet;

use super::rewrite::Replacements;
use crate::arithmetic;
use crate::ir::flow::ControlFlow;
use crate::ir::function::ValueDef;
use crate::ir::{BinaryOp, Block, BlockCall, CmpOp, Function, Inst, InstData, Value};

/// Folds until nothing changes any more. One walk is enough but for loops: what comes into a block
/// from behind is known only at the end of a walk.
pub fn fold_constants(func: &mut Function) {
    loop {
        let walk = Walk::over(func);
        if !walk.has_constant_params(func) {
            return;
        }
    }
}

/// One walk over the blocks in the order in which they run, so that everything about a value is
/// known before it is used; blocks that no folded branch leads to are left out.
struct Walk {
    flow: Rc<ControlFlow>,
    reached: EntitySet<Block>,
    replacements: Replacements,
    /// Blocks with parameters that are reached from behind.
    heads: Vec<Block>,
}

impl Walk {
    fn over(func: &mut Function) -> Self {
        let flow = func.flow();
        let mut walk = Self {
            flow: flow.clone(),
            reached: EntitySet::new(),
            replacements: Replacements::new(),
            heads: Vec::new(),
        };
        walk.reached.insert(func.entry());
        for &block in &flow.reverse_post_order {
            if walk.reached.contains(block) {
                walk.drop_constant_params(func, block);
                walk.fold_instructions(func, block);
                walk.fold_branch(func, block);
            }
        }
        func.layout.retain(|&block| walk.reached.contains(block));
        walk
    }

    /// Whether another walk would drop parameters.
    fn has_constant_params(&self, func: &Function) -> bool {
        let flow = func.flow();
        let is_constant = |block: Block, index| {
            only_argument(func, flow.predecessors(block), block, index, &self.replacements).is_some()
        };
        let heads = self.heads.iter().filter(|&&head| flow.is_reachable(head));
        heads.copied().any(|head| (0..func.blocks[head].params.len()).any(|index| is_constant(head, index)))
    }

    /// Drops the parameters that every jump gives the same value, or themselves.
    fn drop_constant_params(&mut self, func: &mut Function, block: Block) {
        if func.blocks[block].params.is_empty() {
            return;
        }
        let flow = self.flow.clone();
        let is_possible = |&&pred: &&Block| self.reached.contains(pred) || flow.is_back_edge(pred, block);
        let preds: Vec<Block> = flow.predecessors(block).iter().filter(is_possible).copied().collect();
        for index in (0..func.blocks[block].params.len()).rev() {
            if let Some(value) = only_argument(func, &preds, block, index, &self.replacements) {
                self.replacements.replace(func.blocks[block].params[index], value);
                remove_param(func, flow.predecessors(block), block, index);
            }
        }
        if !func.blocks[block].params.is_empty() && preds.iter().any(|&pred| flow.is_back_edge(pred, block)) {
            self.heads.push(block);
        }
    }

    fn fold_instructions(&mut self, func: &mut Function, block: Block) {
        for index in 0..func.blocks[block].insts.len() {
            let inst = func.blocks[block].insts[index];
            self.replacements.apply_to(func, inst);
            match folded(func, inst) {
                None => {}
                Some(Folded::To(data)) => func.insts[inst].data = data,
                Some(Folded::Same(value)) => {
                    let result = func.insts[inst].result.expect("only instructions with a value fold to another");
                    self.replacements.replace(result, value);
                }
            }
        }
    }

    /// Turns a branch on a constant, or whose sides agree, into a jump.
    fn fold_branch(&mut self, func: &mut Function, block: Block) {
        let last = *func.blocks[block].insts.last().expect("every block ends in a terminator");
        if let Some(terminator) = folded_branch(func, &func.insts[last].data) {
            let folded = std::mem::replace(&mut func.insts[last].data, terminator);
            if !folded.leads_where(&func.insts[last].data) {
                func.flow_changes();
            }
        }
        self.reached.extend(func.insts[last].data.successors().map(|call| call.block));
    }
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

/// The value that all jumps give a parameter of `block`, or the parameter itself.
fn only_argument(
    func: &Function,
    predecessors: &[Block],
    block: Block,
    index: usize,
    replacements: &Replacements,
) -> Option<Value> {
    let param = func.blocks[block].params[index];
    let mut only = None;
    for &pred in predecessors {
        for call in func.terminator(pred).successors().filter(|call| call.block == block) {
            let value = replacements.of(call.args[index]);
            if value != param && *only.get_or_insert(value) != value {
                return None;
            }
        }
    }
    only
}

fn remove_param(func: &mut Function, predecessors: &[Block], block: Block, index: usize) {
    func.blocks[block].params.remove(index);
    for (position, &param) in func.blocks[block].params.iter().enumerate() {
        func.values[param].def = ValueDef::Param(block, position);
    }
    for (place, &pred) in predecessors.iter().enumerate() {
        if predecessors[..place].last() == Some(&pred) {
            continue; // both sides of its branch come here
        }
        let last = *func.blocks[pred].insts.last().expect("every block ends in a terminator");
        for call in func.insts[last].data.successors_mut().filter(|call| call.block == block) {
            call.args.remove(index);
        }
    }
}
