//! Random functions: integer arithmetic, memory, calls, branches and loops on many variables.

use super::{CONTEXT_BYTES, HELPERS};
use crate::ir::builder::FunctionBuilder;
use crate::ir::entities::Variable;
use crate::ir::function::Type;
use crate::ir::{BinaryOp, CmpOp, Function, InstData, StackSlot, Value};

/// More than there are registers.
const VARIABLES: usize = 13;
/// Numbers at which something changes.
const EDGES: [i64; 20] = [
    0,
    1,
    -1,
    2,
    3,
    -7,
    50,
    63,
    64,
    65,
    0xff,
    0x8000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    -0x8000_0000,
    -0x8000_0001,
    i64::MAX,
    i64::MIN,
];
const BINARY_OPS: [BinaryOp; 13] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Udiv,
    BinaryOp::Sdiv,
    BinaryOp::Urem,
    BinaryOp::Srem,
    BinaryOp::And,
    BinaryOp::Or,
    BinaryOp::Xor,
    BinaryOp::Shl,
    BinaryOp::Lshr,
    BinaryOp::Ashr,
];
pub const CMP_OPS: [CmpOp; 10] = [
    CmpOp::Eq,
    CmpOp::Ne,
    CmpOp::Slt,
    CmpOp::Sle,
    CmpOp::Sgt,
    CmpOp::Sge,
    CmpOp::Ult,
    CmpOp::Ule,
    CmpOp::Ugt,
    CmpOp::Uge,
];

/// Decisions, taken one after another; zeros when they run out, so that every tape ends.
struct Tape<'a>(std::slice::Iter<'a, u16>);

impl Tape<'_> {
    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn is_over(&self) -> bool {
        self.0.len() == 0
    }
}

struct Generator<'a> {
    tape: Tape<'a>,
    builder: FunctionBuilder,
    variables: Vec<Variable>,
    slot: StackSlot,
}

/// The function that the decisions in `tape` lead to. It starts with loading its variables from
/// the context and ends with storing them there.
pub fn function(tape: &[u16]) -> Function {
    let mut builder = FunctionBuilder::new("random");
    let slot = builder.func_mut().create_slot(16);
    let variables = (0..VARIABLES).map(|_| builder.declare(Type::I64)).collect();
    let mut generator = Generator { tape: Tape(tape.iter()), builder, variables, slot };
    generator.load_variables();
    while !generator.tape.is_over() {
        generator.statement(0);
    }
    generator.store_variables();
    generator.builder.ret();
    generator.builder.finish()
}

impl Generator<'_> {
    fn load_variables(&mut self) {
        let base = self.builder.func().context();
        for index in 0..VARIABLES {
            let load = InstData::Load { bytes: 8, signed: false, base, offset: index as i16 * 8 };
            let value = self.builder.push(load, Type::I64);
            self.builder.define(self.variables[index], value);
        }
        let zero = self.builder.iconst(0);
        for offset in [0, 8] {
            let base = self.slot_addr(offset);
            self.builder.effect(InstData::Store { bytes: 8, value: zero, base, offset: 0 });
        }
    }

    fn store_variables(&mut self) {
        let base = self.builder.func().context();
        for index in 0..VARIABLES {
            let value = self.builder.value_of(self.variables[index]);
            self.builder.effect(InstData::Store { bytes: 8, value, base, offset: index as i16 * 8 });
        }
    }

    fn slot_addr(&mut self, offset: u32) -> Value {
        self.builder.push(InstData::StackAddr { slot: self.slot, offset }, Type::Ptr)
    }

    fn statement(&mut self, depth: usize) {
        match self.tape.below(16) {
            0 | 1 if depth < 3 => self.branch(depth),
            2 if depth < 2 => self.repeat(depth),
            _ => {
                let value = self.value();
                let variable = self.tape.below(VARIABLES);
                self.builder.define(self.variables[variable], value);
            }
        }
    }

    fn statements(&mut self, depth: usize) {
        for _ in 0..self.tape.below(4) {
            self.statement(depth + 1);
        }
    }

    fn branch(&mut self, depth: usize) {
        let cond = self.value();
        let (then, otherwise, after) =
            (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        self.builder.func_mut().blocks[then].is_cold = self.tape.below(4) == 0;
        let has_else = self.tape.below(2) == 0;
        self.builder.brif(cond, then, if has_else { otherwise } else { after });
        self.builder.seal(then);
        self.builder.switch_to(then);
        self.statements(depth);
        self.builder.jump(after);
        self.builder.seal(otherwise);
        if has_else {
            self.builder.switch_to(otherwise);
            self.statements(depth);
            self.builder.jump(after);
        } else {
            // Never reached, but part of the layout: selection must leave it out.
            self.builder.switch_to(otherwise);
            self.builder.ret();
        }
        self.builder.seal(after);
        self.builder.switch_to(after);
    }

    /// A loop that runs once to three times.
    fn repeat(&mut self, depth: usize) {
        let counter = self.builder.declare(Type::I64);
        let times = self.tape.below(3) as i64 + 1;
        let start = self.builder.iconst(times);
        self.builder.define(counter, start);
        let (body, after) = (self.builder.create_block(), self.builder.create_block());
        self.builder.jump(body);
        self.builder.switch_to(body);
        self.statements(depth);
        let (left, one) = (self.builder.value_of(counter), self.builder.iconst(1));
        let left = self.builder.binary(BinaryOp::Sub, left, one);
        self.builder.define(counter, left);
        self.builder.brif(left, body, after);
        self.builder.seal(body);
        self.builder.seal(after);
        self.builder.switch_to(after);
    }

    fn operand(&mut self) -> Value {
        match self.tape.below(3) {
            0 => {
                let imm = self.tape.of(&EDGES);
                self.builder.iconst(imm)
            }
            _ => {
                let variable = self.tape.of(&self.variables.clone());
                self.builder.value_of(variable)
            }
        }
    }

    fn value(&mut self) -> Value {
        match self.tape.below(12) {
            0..=3 => {
                let (op, a, b) = (self.tape.of(&BINARY_OPS), self.operand(), self.operand());
                self.builder.binary(op, a, b)
            }
            4 | 5 => {
                let (op, a, b) = (self.tape.of(&CMP_OPS), self.narrow_operand(), self.narrow_operand());
                self.builder.icmp(op, a, b)
            }
            6 => self.narrow_operand(),
            7 => self.load(),
            8 => self.store_then_load(),
            9 => self.call(),
            10 => self.negated_test(),
            _ => self.fetch_add(),
        }
    }

    fn narrow_operand(&mut self) -> Value {
        let arg = self.operand();
        let (signed, bytes) = (self.tape.below(3) == 0, self.tape.of(&[1, 2, 4, 4, 8]));
        match bytes {
            8 => arg,
            _ => self.builder.push(InstData::Extend { signed, bytes, arg }, Type::I64),
        }
    }

    fn negated_test(&mut self) -> Value {
        let (a, mask, zero) = (self.operand(), self.operand(), self.builder.iconst(0));
        let bits = self.builder.binary(BinaryOp::And, a, mask);
        let (first, second) = (self.tape.of(&[CmpOp::Eq, CmpOp::Ne]), self.tape.of(&[CmpOp::Eq, CmpOp::Ne]));
        let test = self.builder.icmp(first, bits, zero);
        self.builder.icmp(second, test, zero)
    }

    fn load(&mut self) -> Value {
        let (signed, bytes) = (self.tape.below(2) == 0, self.tape.of(&[1, 2, 4, 8]));
        let offset = (self.tape.below(CONTEXT_BYTES / 8) * 8) as i16;
        let base = self.builder.func().context();
        self.builder.push(InstData::Load { bytes, signed, base, offset }, Type::I64)
    }

    fn store_then_load(&mut self) -> Value {
        let (value, bytes) = (self.narrow_operand(), self.tape.of(&[1, 2, 4, 8]));
        let base = self.slot_addr(8);
        self.builder.effect(InstData::Store { bytes, value, base, offset: 0 });
        let base = self.slot_addr(0);
        self.builder.push(InstData::Load { bytes: 8, signed: false, base, offset: 8 }, Type::I64)
    }

    fn call(&mut self) -> Value {
        let (helper, arity) = self.tape.of(&HELPERS);
        let args = (0..arity).map(|_| self.operand()).collect();
        self.builder.call(helper, args)
    }

    fn fetch_add(&mut self) -> Value {
        let value = self.operand();
        let offset = (self.tape.below(VARIABLES) * 8) as i16;
        let base = self.builder.func().context();
        match self.tape.below(2) {
            0 => self.builder.push(InstData::FetchAdd { value, base, offset }, Type::I64),
            _ => {
                self.builder.effect(InstData::AtomicAdd { value, base, offset });
                value
            }
        }
    }
}
