//! Builds a function front to back, turning scratch variables into SSA values on the way.
//!
//! The algorithm is that of Braun et al., "Simple and Efficient Construction of Static Single
//! Assignment Form" (2013), as cranelift-frontend uses it: a use of a variable in a block that
//! does not define it becomes a block parameter once all predecessors are known ("sealed").

use cranelift_entity::{PrimaryMap, SecondaryMap};
use pfscript_grammar::Span;
use rustc_hash::FxHashMap;

use super::entities::{Block, Inst, Value, Variable};
use super::function::{Function, Type};
use super::inst::{BlockCall, InstData, Values};
use super::operators::{BinaryOp, CmpOp};
use crate::catalog::helpers::Helper;

/// A function under construction. Instructions go to the end of the current block.
pub struct FunctionBuilder {
    func: Function,
    current: Block,
    span: Span,
    variables: PrimaryMap<Variable, Type>,
    states: SecondaryMap<Block, BlockState>,
    /// The value of each variable at the end of blocks, as far as they are built.
    definitions: FxHashMap<(Variable, Block), Value>,
}

#[derive(Clone, Default)]
struct BlockState {
    predecessors: Vec<(Block, Inst)>,
    /// Parameters made before all predecessors were known.
    incomplete: Vec<Variable>,
    is_sealed: bool,
    is_filled: bool,
}

impl FunctionBuilder {
    /// Starts a function at its entry block.
    pub fn new(name: &str) -> Self {
        Self::of(Function::new(name))
    }

    /// Starts a callback at its entry block.
    pub fn callback(name: &str) -> Self {
        Self::of(Function::new_callback(name))
    }

    fn of(func: Function) -> Self {
        let current = func.entry();
        let mut builder = Self {
            func,
            current,
            span: Span::default(),
            variables: PrimaryMap::new(),
            states: SecondaryMap::new(),
            definitions: FxHashMap::default(),
        };
        builder.seal(current);
        builder
    }

    /// The finished function. Every block that was switched to must have been ended.
    pub fn finish(self) -> Function {
        self.func
    }

    /// The function as far as it is built.
    pub fn func(&self) -> &Function {
        &self.func
    }

    /// The function, to add stack slots.
    pub fn func_mut(&mut self) -> &mut Function {
        &mut self.func
    }

    /// The script's place that following instructions come from; returns the one before.
    pub fn set_span(&mut self, span: Span) -> Span {
        std::mem::replace(&mut self.span, span)
    }

    /// The script's place that following instructions come from.
    pub fn span(&self) -> Span {
        self.span
    }

    /// A new block, not yet sealed.
    pub fn create_block(&mut self) -> Block {
        self.func.append_block()
    }

    /// Puts following instructions into `block`.
    pub fn switch_to(&mut self, block: Block) {
        self.current = block;
    }

    /// Whether the current block has its terminator.
    pub fn is_ended(&self) -> bool {
        self.states[self.current].is_filled
    }

    /// Adds an instruction with a value.
    pub fn push(&mut self, data: InstData, ty: Type) -> Value {
        let inst = self.func.append_inst(self.current, data, Some(ty), self.span);
        self.func.insts[inst].result.expect("made with a result")
    }

    /// Adds an instruction without a value.
    pub fn effect(&mut self, data: InstData) -> Inst {
        self.func.append_inst(self.current, data, None, self.span)
    }

    /// A constant.
    pub fn iconst(&mut self, imm: i64) -> Value {
        self.push(InstData::Iconst { imm }, Type::I64)
    }

    /// Arithmetic.
    pub fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Value {
        self.push(InstData::Binary { op, args: [a, b] }, Type::I64)
    }

    /// A comparison.
    pub fn icmp(&mut self, op: CmpOp, a: Value, b: Value) -> Value {
        self.push(InstData::Icmp { op, args: [a, b] }, Type::I64)
    }

    /// A helper call whose value is an integer.
    pub fn call(&mut self, helper: Helper, args: Values) -> Value {
        self.push(InstData::Call { helper, args }, Type::I64)
    }

    /// Ends the current block with a jump.
    pub fn jump(&mut self, block: Block) {
        self.end(InstData::Jump { dest: BlockCall::new(block, Values::new()) });
    }

    /// Ends the current block with a branch on `cond`.
    pub fn brif(&mut self, cond: Value, then: Block, otherwise: Block) {
        let (then, otherwise) = (BlockCall::new(then, Values::new()), BlockCall::new(otherwise, Values::new()));
        self.end(InstData::Brif { cond, then, otherwise });
    }

    /// Ends the current block, and the program with it.
    pub fn ret(&mut self) {
        self.end(InstData::Return);
    }

    /// Ends the current block, and the callback with it.
    pub fn leave(&mut self, goes_on: bool) {
        self.end(InstData::Leave { goes_on });
    }

    fn end(&mut self, terminator: InstData) {
        if self.is_ended() {
            return;
        }
        let inst = self.effect(terminator);
        let from = self.current;
        self.states[from].is_filled = true;
        let successors: Vec<Block> = self.func.insts[inst].data.successors().map(|call| call.block).collect();
        for block in successors {
            debug_assert!(!self.states[block].is_sealed, "a sealed block gets no more predecessors");
            self.states[block].predecessors.push((from, inst));
        }
    }

    /// Says that all predecessors of `block` are known.
    pub fn seal(&mut self, block: Block) {
        self.states[block].is_sealed = true;
        for variable in std::mem::take(&mut self.states[block].incomplete) {
            self.complete(variable, vec![block]);
        }
    }

    /// A new variable; it must be defined before it is used.
    pub fn declare(&mut self, ty: Type) -> Variable {
        self.variables.push(ty)
    }

    /// Sets a variable.
    pub fn define(&mut self, variable: Variable, value: Value) {
        self.define_in(self.current, variable, value);
    }

    /// The variable's present value.
    pub fn value_of(&mut self, variable: Variable) -> Value {
        self.value_in(self.current, variable)
    }

    fn define_in(&mut self, block: Block, variable: Variable, value: Value) {
        self.definitions.insert((variable, block), value);
    }

    fn value_in(&mut self, block: Block, variable: Variable) -> Value {
        let mut incomplete = Vec::new();
        let value = self.value_or_param(block, variable, &mut incomplete);
        self.complete(variable, incomplete);
        value
    }

    /// Brings arguments along to the variable's new parameters of `blocks`, and to those that this
    /// asks for in its turn. Not by recursion: scripts of any length must not overflow the stack.
    fn complete(&mut self, variable: Variable, mut blocks: Vec<Block>) {
        while let Some(block) = blocks.pop() {
            let mut predecessors = self.states[block].predecessors.clone();
            predecessors.dedup(); // a branch whose two sides meet at once is one predecessor
            for (from, inst) in predecessors {
                let value = self.value_or_param(from, variable, &mut blocks);
                for call in self.func.insts[inst].data.successors_mut().filter(|call| call.block == block) {
                    call.args.push(value);
                }
            }
        }
    }

    /// The variable's value at the end of `block`: that of the next definition on the only way to
    /// it, or else a parameter of the block where ways meet; those still lack their arguments.
    fn value_or_param(&mut self, block: Block, variable: Variable, incomplete: &mut Vec<Block>) -> Value {
        let mut path = vec![block];
        let value = loop {
            let at = path[path.len() - 1];
            if let Some(&value) = self.definitions.get(&(variable, at)) {
                break value;
            }
            match (self.states[at].is_sealed, self.states[at].predecessors.as_slice()) {
                (true, &[(only, _)]) => path.push(only),
                (true, []) => break self.zero_at_start_of(at, variable),
                (is_sealed, _) => {
                    match is_sealed {
                        true => incomplete.push(at),
                        false => self.states[at].incomplete.push(variable),
                    }
                    break self.func.append_param(at, self.variables[variable]);
                }
            }
        };
        for at in path {
            self.define_in(at, variable, value);
        }
        value
    }

    /// The checker refuses a use before assignment; what is left are unreachable blocks, and any
    /// value will do there.
    fn zero_at_start_of(&mut self, block: Block, variable: Variable) -> Value {
        let inst = self.func.make_inst(InstData::Iconst { imm: 0 }, Some(self.variables[variable]), self.span);
        self.func.blocks[block].insts.insert(0, inst);
        self.func.insts[inst].result.expect("made with a result")
    }
}
