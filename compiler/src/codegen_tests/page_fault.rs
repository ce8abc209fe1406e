//! The probe of a page-fault counter, as lowering and expansion would make it.

use pfscript_grammar::{SourceFile, Span};

use crate::catalog::helpers::Helper;
use crate::ir::builder::FunctionBuilder;
use crate::ir::function::Type;
use crate::ir::inst::MapAddrOf;
use crate::ir::{BinaryOp, BlockCall, CmpOp, Function, InstData, Value, Values, values};
use crate::manifest::{DataType, MapInfo, MapKind, MapRef, MapValue};

/// A script of the shape that [`page_fault`] pretends to come from.
pub fn source() -> SourceFile {
    SourceFile::new(
        "fixture.pf",
        "software:page-faults:1 {\n  @faults[pid]++;\n  every 50 of @faults[pid] { emit(pid); }\n}\n",
    )
}

/// The map of [`page_fault`].
pub fn faults_map() -> MapInfo {
    MapInfo {
        name: "faults".into(),
        symbol: "faults".into(),
        kind: MapKind::Hash,
        key: Vec::new(),
        key_names: Vec::new(),
        key_size: 4,
        value: MapValue::Data(DataType::Int { bytes: 8, signed: false }),
        value_size: 8,
        max_entries: 4096,
        span: Span::default(),
    }
}

/// Counts by process; every 50th time it sends a record of 48 bytes.
pub fn page_fault(name: &str) -> Function {
    let mut b = FunctionBuilder::new(name);
    let (found, insert, create, lost, add, emit, failed, done) = (
        b.create_block(),
        b.create_block(),
        b.create_block(),
        b.create_block(),
        b.create_block(),
        b.create_block(),
        b.create_block(),
        b.create_block(),
    );
    for cold in [insert, create, lost, failed] {
        b.func_mut().blocks[cold].is_cold = true;
    }
    let element = b.func_mut().append_param(add, Type::Ptr);
    let (key_slot, zero_slot, record) =
        (b.func_mut().create_slot(4), b.func_mut().create_slot(8), b.func_mut().create_slot(48));
    let map = MapAddrOf::Script(MapRef(0));

    b.set_span(Span::new(27, 42));
    let pid_tgid = b.call(Helper::GetCurrentPidTgid, Values::new());
    let c32 = b.iconst(32);
    let pid = b.binary(BinaryOp::Lshr, pid_tgid, c32);
    store(&mut b, 4, pid, key_slot, 0);
    let ptr = lookup(&mut b, map, key_slot);
    let zero = b.iconst(0);
    let hit = b.icmp(CmpOp::Ne, ptr, zero);
    b.brif(hit, found, insert);
    b.switch_to(found);
    b.effect(InstData::Jump { dest: BlockCall::new(add, values![ptr]) });

    b.switch_to(insert);
    let zero = b.iconst(0);
    store(&mut b, 8, zero, zero_slot, 0);
    let (m, k, z) = (map_addr(&mut b, map), stack_addr(&mut b, key_slot, 0), stack_addr(&mut b, zero_slot, 0));
    let no_exist = b.iconst(1);
    b.call(Helper::MapUpdateElem, values![m, k, z, no_exist]);
    let again = lookup(&mut b, map, key_slot);
    let zero = b.iconst(0);
    let hit = b.icmp(CmpOp::Ne, again, zero);
    b.brif(hit, create, lost);
    b.switch_to(create);
    b.effect(InstData::Jump { dest: BlockCall::new(add, values![again]) });
    b.switch_to(lost);
    count(&mut b, 8);
    b.jump(done);

    b.switch_to(add);
    let one = b.iconst(1);
    let old = b.push(InstData::FetchAdd { value: one, base: element, offset: 0 }, Type::I64);
    let one = b.iconst(1);
    let new = b.binary(BinaryOp::Add, old, one);
    b.set_span(Span::new(45, 83));
    let (inverse, shift, unshift, limit) =
        (b.iconst(0x8f5c_28f5_c28f_5c29_u64 as i64), b.iconst(1), b.iconst(63), b.iconst(0x051e_b851_eb85_1eb8));
    let product = b.binary(BinaryOp::Mul, new, inverse);
    let (right, left) = (b.binary(BinaryOp::Lshr, product, shift), b.binary(BinaryOp::Shl, product, unshift));
    let rotated = b.binary(BinaryOp::Or, right, left);
    let is_multiple = b.icmp(CmpOp::Ule, rotated, limit);
    b.brif(is_multiple, emit, done);

    b.switch_to(emit);
    b.set_span(Span::new(72, 82));
    let now = b.call(Helper::KtimeGetNs, Values::new());
    store(&mut b, 8, now, record, 0);
    let id = b.iconst(0);
    store(&mut b, 4, id, record, 8);
    store(&mut b, 4, pid, record, 12);
    let (buf, len) = (stack_addr(&mut b, record, 16), b.iconst(16));
    b.call(Helper::GetCurrentComm, values![buf, len]);
    store(&mut b, 8, new, record, 32);
    let zero = b.iconst(0);
    store(&mut b, 8, zero, record, 40);
    let ctx = b.func().context();
    let (m, this_cpu, data, len) =
        (map_addr(&mut b, MapAddrOf::Events), b.iconst(0xffff_ffff), stack_addr(&mut b, record, 0), b.iconst(48));
    let error = b.call(Helper::PerfEventOutput, values![ctx, m, this_cpu, data, len]);
    b.brif(error, failed, done);
    b.switch_to(failed);
    count(&mut b, 0);
    b.jump(done);
    b.switch_to(done);
    b.ret();
    b.finish()
}

fn lookup(b: &mut FunctionBuilder, map: MapAddrOf, key: crate::ir::StackSlot) -> Value {
    let args = values![map_addr(b, map), stack_addr(b, key, 0)];
    b.push(InstData::Call { helper: Helper::MapLookupElem, args }, Type::Ptr)
}

fn count(b: &mut FunctionBuilder, offset: u32) {
    let base = b.push(InstData::CounterAddr { offset }, Type::Ptr);
    let value = b.iconst(1);
    b.effect(InstData::AtomicAdd { value, base, offset: 0 });
}

fn map_addr(b: &mut FunctionBuilder, map: MapAddrOf) -> Value {
    b.push(InstData::MapAddr { map }, Type::Ptr)
}

fn stack_addr(b: &mut FunctionBuilder, slot: crate::ir::StackSlot, offset: u32) -> Value {
    b.push(InstData::StackAddr { slot, offset }, Type::Ptr)
}

fn store(b: &mut FunctionBuilder, bytes: u8, value: Value, slot: crate::ir::StackSlot, offset: u32) {
    let base = stack_addr(b, slot, offset);
    b.effect(InstData::Store { bytes, value, base, offset: 0 });
}
