//! Selects target instructions for a function.
//!
//! Blocks and instructions are visited back to front, so that every use of a value is seen before
//! its definition: a value that no selected instruction asks for is not computed. That alone makes
//! a comparison that was fused into a branch, an address folded into a load and dead code vanish.
//! Constants and addresses of stack slots, maps and counters are computed anew before each use,
//! so that none of them occupies a register across a call.

use cranelift_entity::SecondaryMap;
use pfscript_grammar::Span;
use smallvec::{SmallVec, smallvec};

use super::arrange::arrange;
use super::split_webs::split_webs;
use super::vcode::{Load, Operand, VCode, VInst, VOp, VReg};
use crate::ir::flow::ControlFlow;
use crate::ir::{Block, BlockCall, Function, InstData, StackSlot, Value};

/// Selects instructions for `func`, which must be on the lower level.
pub fn select(func: &Function) -> VCode {
    let flow = func.flow();
    let mut selector = Selector::new(func);
    let mut selected = SecondaryMap::new();
    for &block in flow.reverse_post_order.iter().rev() {
        selected[block] = Some(selector.block(&flow, block));
    }
    let mut code = arrange(func, &flow, selected, selector.vreg_count, selector.frame_bytes);
    code.loads = selector.loads;
    split_webs(&mut code);
    code
}

/// Where an edge of a selected block leads, before blocks have their final numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// To a block of the function.
    Block(Block),
    /// To the only return with that code; every `return` of the function jumps there.
    Exit {
        /// What is returned.
        code: i32,
    },
    /// To a block made for this edge alone: the index into [`Selected::splits`].
    Split(usize),
}

/// A block's instructions and edges.
#[derive(Clone)]
pub(super) struct Selected {
    pub insts: Vec<VInst>,
    pub params: Vec<VReg>,
    pub edges: Edges,
    pub splits: Vec<Split>,
}

/// The edges out of a block, and what each brings along.
pub(super) type Edges = SmallVec<[(Target, Vec<VReg>); 2]>;

/// A block on an edge, where the edge's moves and constants go.
#[derive(Clone)]
pub(super) struct Split {
    pub insts: Vec<VInst>,
    pub dest: Block,
    pub args: Vec<VReg>,
}

/// The state of selection. The patterns for single instructions are in `select_inst`.
pub(super) struct Selector<'a> {
    pub(super) func: &'a Function,
    pub(super) use_counts: SecondaryMap<Value, u32>,
    vregs: SecondaryMap<Value, Option<VReg>>,
    vreg_count: u32,
    frame: SecondaryMap<StackSlot, Option<i32>>,
    frame_bytes: u32,
    pub(super) loads: Vec<Load>,
    /// Instructions for the instruction being selected, front to back.
    group: Vec<VInst>,
    /// Instructions for the block being selected, back to front.
    reversed: Vec<VInst>,
    span: Span,
}

impl<'a> Selector<'a> {
    fn new(func: &'a Function) -> Self {
        Self {
            func,
            use_counts: func.use_counts(),
            vregs: SecondaryMap::new(),
            vreg_count: 0,
            frame: SecondaryMap::new(),
            frame_bytes: 0,
            loads: Vec::new(),
            group: Vec::new(),
            reversed: Vec::new(),
            span: Span::default(),
        }
    }

    fn block(&mut self, flow: &ControlFlow, block: Block) -> Selected {
        let (&last, others) = self.func.blocks[block].insts.split_last().expect("a verified block has a terminator");
        self.span = self.func.insts[last].span;
        let (edges, splits) = self.terminator(flow, &self.func.insts[last].data);
        let mut reversed = std::mem::take(&mut self.reversed);
        reversed.extend(self.group.drain(..).rev());
        for &inst in others.iter().rev() {
            let node = &self.func.insts[inst];
            self.span = node.span;
            if node.data.is_removable() && !node.result.is_some_and(|result| self.is_wanted(result)) {
                continue;
            }
            self.inst(&node.data, node.result);
            reversed.extend(self.group.drain(..).rev());
        }
        let mut params = Vec::new();
        if block == self.func.entry() {
            let given: Vec<_> = self.func.blocks[block].params.iter().map(|&param| self.vregs[param]).collect();
            if given.iter().any(Option::is_some) {
                reversed.push(VInst::entry(&given, self.span));
            }
        } else {
            params = self.params(block);
        }
        let insts = reversed.drain(..).rev().collect();
        self.reversed = reversed;
        Selected { insts, params, edges, splits }
    }

    /// The registers of the parameters of `block` that some instruction reads.
    fn params(&mut self, block: Block) -> Vec<VReg> {
        let params = &self.func.blocks[block].params;
        let is_read = |&&param: &&Value| self.use_counts[param] > 0;
        let read: SmallVec<[Value; 4]> = params.iter().filter(is_read).copied().collect();
        read.into_iter().map(|param| self.home(param)).collect()
    }

    /// The arguments for those parameters.
    fn arguments(&mut self, call: &BlockCall) -> Vec<VReg> {
        let params = &self.func.blocks[call.block].params;
        let with_params = params.iter().zip(call.args.iter().copied());
        let read: SmallVec<[Value; 4]> =
            with_params.filter(|&(&param, _)| self.use_counts[param] > 0).map(|(_, arg)| arg).collect();
        self.regs(&read)
    }

    fn terminator(&mut self, flow: &ControlFlow, data: &InstData) -> (Edges, Vec<Split>) {
        match data {
            InstData::Jump { dest } => {
                let args = self.arguments(dest);
                self.emit(VOp::Jump, []);
                (smallvec![(Target::Block(dest.block), args)], Vec::new())
            }
            InstData::Brif { cond, then, otherwise } => {
                let mut splits = Vec::new();
                let mut edges: Edges =
                    smallvec![self.edge(flow, then, &mut splits), self.edge(flow, otherwise, &mut splits)];
                if self.branch(*cond) {
                    edges.swap(0, 1);
                }
                (edges, splits)
            }
            InstData::Return => self.exit(0),
            InstData::Leave { goes_on } => self.exit(i32::from(!goes_on)),
            _ => unreachable!("a verified block ends in a terminator"),
        }
    }

    fn exit(&mut self, code: i32) -> (Edges, Vec<Split>) {
        self.emit(VOp::Jump, []);
        (smallvec![(Target::Exit { code }, Vec::new())], Vec::new())
    }

    /// An edge out of a branch, split if its destination has other predecessors.
    fn edge(&mut self, flow: &ControlFlow, call: &BlockCall, splits: &mut Vec<Split>) -> (Target, Vec<VReg>) {
        if flow.predecessors(call.block).len() == 1 {
            let args = self.arguments(call);
            return (Target::Block(call.block), args);
        }
        let before = std::mem::take(&mut self.group);
        let args = self.arguments(call);
        self.emit(VOp::Jump, []);
        let insts = std::mem::replace(&mut self.group, before);
        splits.push(Split { insts, dest: call.block, args });
        (Target::Split(splits.len() - 1), Vec::new())
    }

    /// Appends an instruction to those of the present one.
    pub(super) fn emit<const N: usize>(&mut self, op: VOp, operands: [Operand; N]) {
        self.push(VInst { op, operands: operands.into_iter().collect(), span: self.span });
    }

    /// Appends an instruction whose number of operands varies.
    pub(super) fn push(&mut self, inst: VInst) {
        self.group.push(inst);
    }

    /// Where the instruction being selected comes from.
    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// A new virtual register.
    pub(super) fn fresh(&mut self) -> VReg {
        self.vreg_count += 1;
        VReg(self.vreg_count - 1)
    }

    /// Whether some selected instruction reads `value` from a register.
    pub(super) fn is_wanted(&self, value: Value) -> bool {
        self.vregs[value].is_some()
    }

    /// The register that `value` is defined in.
    pub(super) fn home(&mut self, value: Value) -> VReg {
        match self.vregs[value] {
            Some(vreg) => vreg,
            None => {
                let vreg = self.fresh();
                self.vregs[value] = Some(vreg);
                vreg
            }
        }
    }

    /// A register with `value` in it, for an instruction that follows.
    pub(super) fn reg(&mut self, value: Value) -> VReg {
        let Some(op) = self.load_of(value) else { return self.home(value) };
        let vreg = self.fresh();
        self.emit(op, [Operand::writes(vreg)]);
        vreg
    }

    /// Whether `value` is a constant or the address of something fixed.
    pub(super) fn is_fixed(&self, value: Value) -> bool {
        use InstData::{CallbackAddr, CounterAddr, Iconst, MapAddr, StackAddr};
        let fixed = |data: &InstData| {
            matches!(data, Iconst { .. } | StackAddr { .. } | MapAddr { .. } | CounterAddr { .. } | CallbackAddr { .. })
        };
        self.func.def(value).is_some_and(fixed)
    }

    /// What loads `value`, if it is a constant or the address of something fixed.
    pub(super) fn load_of(&mut self, value: Value) -> Option<VOp> {
        Some(match *self.func.def(value)? {
            InstData::Iconst { imm } => VOp::LoadImm { imm },
            InstData::StackAddr { slot, offset } => VOp::FrameAddr { offset: self.frame_offset(slot, offset) },
            InstData::MapAddr { map } => VOp::MapAddr { map },
            InstData::CounterAddr { offset } => VOp::CounterAddr { offset },
            InstData::CallbackAddr { callback } => VOp::CallbackAddr { callback },
            _ => return None,
        })
    }

    /// [`Selector::reg`] of each.
    pub(super) fn regs(&mut self, values: &[Value]) -> Vec<VReg> {
        values.iter().map(|&value| self.reg(value)).collect()
    }

    /// The place of `slot`'s byte `offset` relative to the frame pointer. A slot gets its place
    /// when it is first asked for, so that slots which nobody uses take no stack.
    pub(super) fn frame_offset(&mut self, slot: StackSlot, offset: u32) -> i32 {
        let start = match self.frame[slot] {
            Some(start) => start,
            None => {
                self.frame_bytes += self.func.slots[slot].size;
                let start = -(self.frame_bytes as i32);
                self.frame[slot] = Some(start);
                start
            }
        };
        start + offset as i32
    }
}
