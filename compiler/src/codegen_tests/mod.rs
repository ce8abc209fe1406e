//! Tests of everything behind the optimiser: functions are compiled, run and compared.

mod evaluate;
pub mod page_fault;
mod random;
mod vm;

use proptest::prelude::*;

use crate::bpf::decode::{decode, decode_all};
use crate::bpf::encode::SLOT_BYTES;
use crate::bpf::inst::{Cond, Inst, Src, Width};
use crate::bpf::select;
use crate::catalog::helpers::Helper;
use crate::emit::{Bytecode, EmitError, emit};
use crate::ir::builder::FunctionBuilder;
use crate::ir::function::Type;
use crate::ir::verify::{Level, verify};
use crate::ir::{BinaryOp, CmpOp, Function, InstData, Value};
use crate::regalloc::allocate;

/// Bytes of the context that tests read their inputs from and write their results to.
const CONTEXT_BYTES: usize = 160;

/// All stages from the lower level to bytes, which the kernel's first check must let pass.
pub fn compile(func: &Function) -> Bytecode {
    let code = try_compile(func).expect("the function is within the limits");
    assert_eq!(unreachable_slots(&code), [], "in\n{}", listing(&code));
    code
}

/// The slots that no path leads to.
fn unreachable_slots(code: &Bytecode) -> Vec<usize> {
    let mut is_reached = vec![false; code.spans.len()];
    let mut pending = vec![0];
    while let Some(slot) = pending.pop() {
        if std::mem::replace(&mut is_reached[slot], true) {
            continue;
        }
        let inst = decode(&code.bytes[slot * SLOT_BYTES..]).expect("the compiler writes what it reads");
        let next = slot + inst.slots();
        is_reached[slot..next].fill(true);
        match inst {
            Inst::Exit => {}
            Inst::Jump { offset } => pending.push(next.wrapping_add_signed(offset.into())),
            Inst::Branch { offset, .. } => pending.extend([next, next.wrapping_add_signed(offset.into())]),
            _ => pending.push(next),
        }
    }
    (0..is_reached.len()).filter(|&slot| !is_reached[slot]).collect()
}

fn try_compile(func: &Function) -> Result<Bytecode, EmitError> {
    verify(func, Level::Lower).expect("the function is well formed");
    let code = select(func);
    let allocation = allocate(&code).expect("selection keeps the invariants");
    emit(&code, &allocation)
}

/// The helpers that tests call, with the number of their arguments.
const HELPERS: [(Helper, usize); 6] = [
    (Helper::KtimeGetNs, 0),
    (Helper::GetCurrentComm, 2),
    (Helper::MapDeleteElem, 2),
    (Helper::ProbeReadKernel, 3),
    (Helper::MapUpdateElem, 4),
    (Helper::PerfEventOutput, 5),
];

fn arity(id: u32) -> usize {
    HELPERS.iter().find(|(helper, _)| helper.id() == id).map_or(0, |&(_, arity)| arity)
}

/// What every helper does here: its result depends on all arguments and their order.
fn mix(args: &[u64]) -> u64 {
    args.iter().fold(11, |sum, &arg| sum.wrapping_mul(31).wrapping_add(arg.rotate_left(7)))
}

/// The context after a run of `func` on the machine of [`vm`], which must agree with rbpf.
fn run(func: &Function, inputs: &[i64]) -> Vec<i64> {
    let code = compile(func);
    let mut context = context_of(inputs);
    assert_eq!(vm::Vm::new(&mut context).run(&code.bytes), 0, "programs end with 0");
    if runs_on_rbpf(&code) {
        assert_eq!(run_on_rbpf(&code, inputs), context, "rbpf disagrees on\n{}", listing(&code));
    }
    numbers_of(&context)
}

type RbpfHelper = fn(u64, u64, u64, u64, u64) -> u64;

fn run_on_rbpf(code: &Bytecode, inputs: &[i64]) -> Vec<u8> {
    let mut context = context_of(inputs);
    let mut machine = rbpf::EbpfVmRaw::new(None).expect("an empty machine");
    machine.set_verifier(|_| Ok(())).expect("no program yet");
    machine.set_program(&code.bytes).expect("a program");
    let by_arity: [RbpfHelper; 6] = [
        |_, _, _, _, _| mix(&[]),
        |a, _, _, _, _| mix(&[a]),
        |a, b, _, _, _| mix(&[a, b]),
        |a, b, c, _, _| mix(&[a, b, c]),
        |a, b, c, d, _| mix(&[a, b, c, d]),
        |a, b, c, d, e| mix(&[a, b, c, d, e]),
    ];
    for (helper, arity) in HELPERS {
        machine.register_helper(helper.id(), by_arity[arity]).expect("no other of this number");
    }
    machine.execute_program(&mut context).expect("no memory fault");
    context
}

/// Whether rbpf runs it as the kernel does. It does not know atomic operations, compares with
/// unsigned 32-bit constants where the kernel sign-extends them, and panics on negating the
/// smallest integer.
fn runs_on_rbpf(code: &Bytecode) -> bool {
    let insts = decode_all(&code.bytes).expect("the compiler writes what it reads");
    !insts.iter().any(|inst| match *inst {
        Inst::AtomicAdd { .. } | Inst::Neg { .. } => true,
        Inst::Branch { cond, width: Width::W64, src: Src::Imm(imm), .. } => {
            imm < 0 && matches!(cond, Cond::Eq | Cond::Ne | Cond::Gt | Cond::Ge | Cond::Lt | Cond::Le)
        }
        _ => false,
    })
}

fn listing(code: &Bytecode) -> String {
    let insts = decode_all(&code.bytes).expect("the compiler writes what it reads");
    insts.into_iter().map(|inst| crate::bpf::disasm::disassemble(inst, None) + "\n").collect()
}

fn context_of(inputs: &[i64]) -> Vec<u8> {
    let mut context: Vec<u8> = inputs.iter().flat_map(|input| input.to_le_bytes()).collect();
    context.resize(CONTEXT_BYTES, 0);
    context
}

fn numbers_of(context: &[u8]) -> Vec<i64> {
    context.chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().expect("eight bytes"))).collect()
}

fn input(builder: &mut FunctionBuilder, index: usize) -> Value {
    let base = builder.func().context();
    builder.push(InstData::Load { bytes: 8, signed: false, base, offset: index as i16 * 8 }, Type::I64)
}

fn output(builder: &mut FunctionBuilder, index: usize, value: Value) {
    let base = builder.func().context();
    builder.effect(InstData::Store { bytes: 8, value, base, offset: index as i16 * 8 });
}

const NUMBERS: [i64; 14] = [
    i64::MIN,
    i64::MIN + 1,
    -0x8000_0001,
    -0x8000_0000,
    -64,
    -2,
    -1,
    0,
    1,
    3,
    63,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX,
];

/// `outputs[0] = a op b` with both in registers, and with each of them constant.
fn three_forms(a: i64, b: i64, op: impl Fn(&mut FunctionBuilder, Value, Value) -> Value) -> [i64; 3] {
    [(false, false), (true, false), (false, true)].map(|(a_is_constant, b_is_constant)| {
        let mut builder = FunctionBuilder::new("form");
        let x = if a_is_constant { builder.iconst(a) } else { input(&mut builder, 0) };
        let y = if b_is_constant { builder.iconst(b) } else { input(&mut builder, 1) };
        let result = op(&mut builder, x, y);
        output(&mut builder, 2, result);
        builder.ret();
        run(&builder.finish(), &[a, b])[2]
    })
}

#[test]
fn arithmetic_at_the_edges() {
    use BinaryOp::*;
    for op in [Add, Sub, Mul, Udiv, Sdiv, Urem, Srem, And, Or, Xor, Shl, Lshr, Ashr] {
        for (a, b) in NUMBERS.iter().flat_map(|&a| NUMBERS.map(|b| (a, b))) {
            let expected = crate::arithmetic::binary(op, a, b);
            assert_eq!(three_forms(a, b, |f, x, y| f.binary(op, x, y)), [expected; 3], "{op} {a}, {b}");
        }
    }
}

#[test]
fn comparisons_as_values_and_as_branches() {
    for op in random::CMP_OPS {
        for (a, b) in NUMBERS.iter().flat_map(|&a| NUMBERS.map(|b| (a, b))) {
            let expected = i64::from(crate::arithmetic::compare(op, a, b));
            assert_eq!(three_forms(a, b, |f, x, y| f.icmp(op, x, y)), [expected; 3], "{op} {a}, {b}");
            assert_eq!(three_forms(a, b, |f, x, y| choose(f, op, x, y)), [expected; 3], "branch on {op} {a}, {b}");
        }
    }
}

/// 1 or 0 by a branch.
fn choose(f: &mut FunctionBuilder, op: CmpOp, x: Value, y: Value) -> Value {
    let result = f.declare(Type::I64);
    let (yes, no, after) = (f.create_block(), f.create_block(), f.create_block());
    let cond = f.icmp(op, x, y);
    f.brif(cond, yes, no);
    for (block, number) in [(yes, 1), (no, 0)] {
        f.seal(block);
        f.switch_to(block);
        let number = f.iconst(number);
        f.define(result, number);
        f.jump(after);
    }
    f.seal(after);
    f.switch_to(after);
    f.value_of(result)
}

#[test]
fn extensions_and_narrow_memory() {
    for (number, bytes, signed) in
        NUMBERS.iter().flat_map(|&n| [1, 2, 4].map(|b| (n, b))).flat_map(|(n, b)| [false, true].map(|s| (n, b, s)))
    {
        let expected = crate::arithmetic::extend(signed, bytes, number);
        let mut b = FunctionBuilder::new("narrow");
        let base = b.func().context();
        let arg = input(&mut b, 0);
        let extended = b.push(InstData::Extend { signed, bytes, arg }, Type::I64);
        let loaded = b.push(InstData::Load { bytes, signed, base, offset: 0 }, Type::I64);
        output(&mut b, 1, extended);
        output(&mut b, 2, loaded);
        b.effect(InstData::Store { bytes, value: extended, base, offset: 24 });
        let constant = b.iconst(number);
        b.effect(InstData::Store { bytes, value: constant, base, offset: 32 });
        b.ret();
        let unsigned = crate::arithmetic::extend(false, bytes, number);
        assert_eq!(run(&b.finish(), &[number])[1..5], [expected, expected, unsigned, unsigned]);
    }
}

#[test]
fn values_survive_calls_in_spill_slots() {
    let mut b = FunctionBuilder::new("spill");
    let inputs: Vec<Value> = (0..20).map(|index| input(&mut b, index)).collect();
    let mut sum = b.iconst(0);
    for round in 0..3 {
        let called = b.call(Helper::PerfEventOutput, inputs[round..round + 5].into());
        sum = b.binary(BinaryOp::Add, sum, called);
    }
    for (index, &value) in inputs.iter().enumerate() {
        let total = b.binary(BinaryOp::Add, value, sum);
        output(&mut b, index, total);
    }
    b.ret();
    let func = b.finish();
    assert!(compile(&func).stack_bytes > 0, "twenty values do not fit into four registers");
    let numbers: Vec<i64> = (0..20).map(|n| n * 1_000_003).collect();
    let unsigned: Vec<u64> = numbers.iter().map(|&number| number as u64).collect();
    let sum = (0..3).map(|round| mix(&unsigned[round..round + 5]) as i64).fold(0, i64::wrapping_add);
    assert_eq!(run(&func, &numbers), numbers.iter().map(|n| n.wrapping_add(sum)).collect::<Vec<_>>());
}

#[test]
fn too_much_stack_is_an_error_with_the_need() {
    let mut b = FunctionBuilder::new("stack");
    for size in [400, 120] {
        let slot = b.func_mut().create_slot(size);
        let (base, value) = (b.push(InstData::StackAddr { slot, offset: 0 }, Type::Ptr), b.iconst(1));
        b.effect(InstData::Store { bytes: 8, value, base, offset: 0 });
    }
    b.func_mut().create_slot(4096); // nobody uses it
    b.ret();
    assert_eq!(try_compile(&b.finish()), Err(EmitError::StackTooLarge { bytes: 520 }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_functions_do_what_they_say(
        tape in proptest::collection::vec(any::<u16>(), 0..260),
        inputs in proptest::collection::vec(prop_oneof![any::<i64>(), proptest::sample::select(NUMBERS.to_vec())], 20),
    ) {
        let func = random::function(&tape);
        let mut expected = context_of(&inputs);
        evaluate::evaluate(&func, &mut expected);
        prop_assert_eq!(run(&func, &inputs), numbers_of(&expected), "{}", listing(&compile(&func)));
    }
}
