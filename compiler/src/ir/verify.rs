//! Finds our own bugs: run after lowering and after each pass in debug builds and tests.
//!
//! Invariants:
//! - each block of the layout ends in a terminator and has no other;
//! - a jump brings one argument of the right type for each parameter of its block;
//! - the entry block has no predecessor;
//! - the control flow that the function keeps is that of its terminators;
//! - each value is defined once, and its definition dominates each use;
//! - operands have the types that their instruction wants;
//! - on the lower level no instruction of the upper level is left.

use cranelift_entity::{EntitySet, SecondaryMap};

use super::entities::{Block, Inst, Value};
use super::flow::ControlFlow;
use super::function::{Function, Type, ValueDef};
use super::inst::InstData;

/// The level that a function is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Map elements, strings and records are still whole.
    Upper,
    /// Only what the target knows.
    Lower,
}

/// Checks all invariants; the answer says what is wrong.
///
/// # Errors
/// The first broken invariant, with the handles concerned.
pub fn verify(func: &Function, level: Level) -> Result<(), String> {
    for &block in &func.layout {
        verify_block_shape(func, block)?;
    }
    let flow = ControlFlow::of(func);
    if !flow.predecessors(func.entry()).is_empty() {
        return Err("the entry block has a predecessor".into());
    }
    if !func.flow().is_same_graph(&flow) {
        return Err("the control flow has changed without a word".into());
    }
    let verifier = Verifier { func, flow, level, position: positions(func) };
    verifier.layout_is_whole()?;
    verifier.flow.reverse_post_order.iter().try_for_each(|&block| verifier.block(block))
}

struct Verifier<'a> {
    func: &'a Function,
    flow: ControlFlow,
    level: Level,
    position: SecondaryMap<Inst, Option<(Block, u32)>>,
}

fn verify_block_shape(func: &Function, block: Block) -> Result<(), String> {
    let insts = &func.blocks[block].insts;
    let Some((last, others)) = insts.split_last() else { return Err(format!("{block} is empty")) };
    if !func.insts[*last].data.is_terminator() {
        return Err(format!("{block} does not end in a terminator"));
    }
    match others.iter().find(|&&inst| func.insts[inst].data.is_terminator()) {
        Some(_) => Err(format!("{block} has a terminator in its middle")),
        None => Ok(()),
    }
}

fn positions(func: &Function) -> SecondaryMap<Inst, Option<(Block, u32)>> {
    let mut positions = SecondaryMap::new();
    for &block in &func.layout {
        for (index, &inst) in func.blocks[block].insts.iter().enumerate() {
            positions[inst] = Some((block, index as u32));
        }
    }
    positions
}

impl Verifier<'_> {
    fn layout_is_whole(&self) -> Result<(), String> {
        let mut laid_out = EntitySet::new();
        if let Some(twice) = self.func.layout.iter().find(|&&block| !laid_out.insert(block)) {
            return Err(format!("{twice} is laid out twice"));
        }
        match self.flow.reverse_post_order.iter().find(|&&block| !laid_out.contains(block)) {
            Some(missing) => Err(format!("{missing} is reached but not laid out")),
            None => Ok(()),
        }
    }

    fn block(&self, block: Block) -> Result<(), String> {
        for (index, &inst) in self.func.blocks[block].insts.iter().enumerate() {
            self.inst(block, index as u32, inst)?;
        }
        self.func.terminator(block).successors().try_for_each(|call| self.block_call(block, call))
    }

    fn inst(&self, block: Block, index: u32, inst: Inst) -> Result<(), String> {
        let node = &self.func.insts[inst];
        if self.level == Level::Lower && is_upper(&node.data) {
            return Err(format!("{inst} in {block} belongs to the upper level"));
        }
        let mut broken = None;
        node.data.for_each_operand(|operand| {
            if !self.is_available(operand, block, index) {
                broken = Some(format!("{operand} is used in {block} by {inst} but not defined on every path to it"));
            }
        });
        broken.map_or(Ok(()), Err)?;
        self.operand_types(inst, &node.data)
    }

    fn is_available(&self, value: Value, block: Block, index: u32) -> bool {
        match self.func.values[value].def {
            ValueDef::Param(at, _) => self.flow.dominates(at, block),
            ValueDef::Result(inst) => match self.position[inst] {
                None => false,
                Some((at, position)) if at == block => position < index,
                Some((at, _)) => self.flow.dominates(at, block),
            },
        }
    }

    fn operand_types(&self, inst: Inst, data: &InstData) -> Result<(), String> {
        let want = |value: Value, wanted: Type| match self.func.ty(value) {
            ty if ty == wanted => Ok(()),
            ty => Err(format!("{inst}: {value} has type {ty}, {wanted} is wanted")),
        };
        match data {
            InstData::Binary { args, .. } => args.iter().try_for_each(|&arg| want(arg, Type::I64)),
            InstData::Extend { arg, .. } => want(*arg, Type::I64),
            InstData::Load { base, .. } => want(*base, Type::Ptr),
            // The kernel knows an address again that was kept on the stack.
            InstData::Store { bytes: 8, base, value, .. } if self.func.ty(*value) == Type::Ptr => {
                want(*base, Type::Ptr)
            }
            InstData::Store { base, value, .. }
            | InstData::FetchAdd { base, value, .. }
            | InstData::AtomicAdd { base, value, .. } => {
                want(*base, Type::Ptr)?;
                want(*value, Type::I64)
            }
            InstData::PtrAdd { base, offset } => {
                want(*base, Type::Ptr)?;
                want(*offset, Type::I64)
            }
            InstData::MapFetchAdd { delta, .. } => want(*delta, Type::I64),
            InstData::Icmp { args: [a, b], .. } => match self.func.ty(*a) {
                Type::Ptr => want(*b, Type::I64),
                ty => want(*a, Type::I64).and_then(|()| want(*b, ty)),
            },
            _ => Ok(()),
        }
    }

    fn block_call(&self, from: Block, call: &super::inst::BlockCall) -> Result<(), String> {
        let params = &self.func.blocks[call.block].params;
        let types = |values: &[Value]| values.iter().map(|&value| self.func.ty(value)).collect::<Vec<_>>();
        match types(params) == types(&call.args) {
            true => Ok(()),
            false => Err(format!("{from} jumps to {call} with other arguments than its parameters")),
        }
    }
}

fn is_upper(data: &InstData) -> bool {
    matches!(
        data,
        InstData::Comm
            | InstData::StringConst { .. }
            | InstData::LoadBytes { .. }
            | InstData::ReadInt { .. }
            | InstData::ReadStr { .. }
            | InstData::Tuple { .. }
            | InstData::Element { .. }
            | InstData::BytesEq { .. }
            | InstData::StrLen { .. }
            | InstData::StrByte { .. }
            | InstData::Contains { .. }
            | InstData::SlotLoad { .. }
            | InstData::StoreBytes { .. }
            | InstData::SlotStore { .. }
            | InstData::MapLoad { .. }
            | InstData::MapAggregated { .. }
            | InstData::MapHasKey { .. }
            | InstData::MapStore { .. }
            | InstData::MapFetchAdd { .. }
            | InstData::MapDelete { .. }
            | InstData::MapAggregate { .. }
            | InstData::Output { .. }
            | InstData::FlushStage { .. }
    )
}
