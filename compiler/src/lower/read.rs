//! What is read of the moment: helpers, fields of the context, stacks.

use super::Lowering;
use super::expr::ir_type;
use crate::catalog::builtins::Source;
use crate::catalog::helpers::Helper;
use crate::check::types::Type;
use crate::ir::function::Type as IrType;
use crate::ir::inst::MapAddrOf;
use crate::ir::{BinaryOp, CmpOp, InstData, Value, Values, values};
use crate::kernel::FieldKind;
use crate::manifest::{CounterKind, DataType, MapRef, Member, StackShape};

/// `BPF_F_USER_STACK` of `include/uapi/linux/bpf.h`.
const USER_STACK: i64 = 1 << 8;
/// `-EFAULT`: what `bpf_get_stackid` says where there is no stack.
const NO_STACK: i64 = -14;

impl Lowering<'_> {
    /// The value of a builtin or field, from where its row says.
    pub(super) fn read(&mut self, source: Source, ty: &Type) -> Value {
        match source {
            Source::Helper(helper) => self.builder.call(helper, Values::new()),
            Source::HelperLow(helper) => {
                let whole = self.builder.call(helper, Values::new());
                self.builder.push(InstData::Extend { signed: false, bytes: 4, arg: whole }, IrType::I64)
            }
            Source::HelperHigh(helper) => {
                let whole = self.builder.call(helper, Values::new());
                let half = self.builder.iconst(32);
                self.builder.binary(BinaryOp::Lshr, whole, half)
            }
            Source::Comm => self.builder.push(InstData::Comm, ir_type(ty)),
            Source::Elapsed => self.elapsed(),
            Source::RecordTime => self.builder.call(Helper::KtimeGetNs, Values::new()),
            Source::Stack { user } => {
                let Type::Stack { shape, .. } = *ty else { unreachable!("a stack has the type of one") };
                let number = self.stack(user, shape);
                if user { self.of_process(number) } else { number }
            }
            Source::ContextPointer { offset } => {
                let (base, offset) = (self.context(), self.builder.iconst(offset.into()));
                let addr = self.builder.push(InstData::PtrAdd { base, offset }, IrType::Ptr);
                let data = InstData::ReadInt { user: false, bytes: 8, signed: false, addr };
                self.builder.push(data, IrType::I64)
            }
            Source::Context { offset, kind } => self.context_field(offset, kind, ty),
        }
    }

    /// A part of the tally of what was retired from a map.
    pub(super) fn retired(&mut self, map: MapRef, offset: i16) -> Value {
        let base = self.tally(map);
        self.builder.push(InstData::Load { bytes: 8, signed: false, base, offset }, IrType::I64)
    }

    /// Where the tally of what was retired from a map lies.
    pub(super) fn tally(&mut self, map: MapRef) -> Value {
        let offset = self.tables.bss.tally(map);
        self.builder.push(InstData::CounterAddr { offset }, IrType::Ptr)
    }

    fn elapsed(&mut self) -> Value {
        let now = self.builder.call(Helper::KtimeGetNs, Values::new());
        let offset = self.tables.bss.start_time();
        let base = self.builder.push(InstData::CounterAddr { offset }, IrType::Ptr);
        let start = self.builder.push(InstData::Load { bytes: 8, signed: false, base, offset: 0 }, IrType::I64);
        self.builder.binary(BinaryOp::Sub, now, start)
    }

    /// The stack's number, and one: 0 is none, as in a map's element that nobody wrote.
    fn stack(&mut self, user: bool, StackShape { depth, .. }: StackShape) -> Value {
        self.tables.stack_depths.insert(depth);
        let context = self.context();
        let stacks = self.builder.push(InstData::MapAddr { map: MapAddrOf::Stacks { depth } }, IrType::Ptr);
        let flags = self.builder.iconst(if user { USER_STACK } else { 0 });
        let number = self.builder.call(Helper::GetStackid, values![context, stacks, flags]);
        self.count_lost_stack(number);
        self.binary_with(BinaryOp::Add, number, 1)
    }

    /// Counts a stack for which the map had no room, or that fell on the place of another. Where
    /// there just is no stack, as of a process in a thread of the kernel, nothing is lost.
    fn count_lost_stack(&mut self, number: Value) {
        let [refused, lost, after] = [0; 3].map(|_| self.builder.create_block());
        for block in [refused, lost] {
            self.builder.func_mut().blocks[block].is_cold = true;
        }
        let zero = self.builder.iconst(0);
        let is_refused = self.builder.icmp(CmpOp::Slt, number, zero);
        self.builder.brif(is_refused, refused, after);
        self.builder.seal(refused);
        self.builder.switch_to(refused);
        let none = self.builder.iconst(NO_STACK);
        let is_none = self.builder.icmp(CmpOp::Eq, number, none);
        self.builder.brif(is_none, after, lost);
        self.builder.seal(lost);
        self.builder.switch_to(lost);
        let offset = self.tables.bss.counter(CounterKind::StacksLost);
        let base = self.builder.push(InstData::CounterAddr { offset }, IrType::Ptr);
        let one = self.builder.iconst(1);
        self.builder.effect(InstData::AtomicAdd { value: one, base, offset: 0 });
        self.builder.jump(after);
        self.builder.seal(after);
        self.builder.switch_to(after);
    }

    /// How many addresses the kernel copies of a stack, to where nobody looks; none where it refuses,
    /// which is a negative number.
    pub(super) fn stack_len(&mut self, user: bool, depth: u32) -> Value {
        let (context, bytes) = (self.context(), 8 * depth);
        let offset = self.tables.bss.scratch(bytes);
        let copy = self.builder.push(InstData::CounterAddr { offset }, IrType::Ptr);
        let size = self.builder.iconst(bytes.into());
        let flags = self.builder.iconst(if user { USER_STACK } else { 0 });
        let copied = self.builder.call(Helper::GetStack, values![context, copy, size, flags]);
        let sign = self.binary_with(BinaryOp::Ashr, copied, 63);
        let no_sign = self.binary_with(BinaryOp::Xor, sign, -1);
        let copied = self.builder.binary(BinaryOp::And, copied, no_sign);
        self.binary_with(BinaryOp::Lshr, copied, 3)
    }

    /// An element of an array in the context. The kernel lets no program read there at a place that
    /// is not known before, but a helper.
    pub(super) fn field_element(&mut self, offset: i16, (bytes, signed): (u8, bool), len: u32, index: Value) -> Value {
        let element = self.builder.declare(IrType::I64);
        let [inside, after] = [0; 2].map(|_| self.builder.create_block());
        let (none, end) = (self.builder.iconst(0), self.builder.iconst(len.into()));
        self.builder.define(element, none);
        let is_inside = self.builder.icmp(CmpOp::Ult, index, end);
        self.builder.brif(is_inside, inside, after);
        self.builder.seal(inside);
        self.builder.switch_to(inside);
        let distance = self.binary_with(BinaryOp::Shl, index, i64::from(bytes.trailing_zeros()));
        let distance = self.binary_with(BinaryOp::Add, distance, offset.into());
        let base = self.context();
        let addr = self.builder.push(InstData::PtrAdd { base, offset: distance }, IrType::Ptr);
        let found = self.builder.push(InstData::ReadInt { user: false, bytes, signed, addr }, IrType::I64);
        self.builder.define(element, found);
        self.builder.jump(after);
        self.builder.seal(after);
        self.builder.switch_to(after);
        self.builder.value_of(element)
    }

    /// An address or the number of a stack, and the process that it belongs to.
    pub(super) fn of_process(&mut self, value: Value) -> Value {
        let ids = self.builder.call(Helper::GetCurrentPidTgid, Values::new());
        let pid = self.binary_with(BinaryOp::Lshr, ids, 32);
        let word = DataType::Int { bytes: 8, signed: false };
        let members = [0, 8].map(|offset| Member { offset, ty: word.clone() }).to_vec();
        self.builder.push(InstData::Tuple { members: members.into(), parts: values![value, pid] }, IrType::Bytes(16))
    }

    fn context_field(&mut self, offset: i16, kind: FieldKind, ty: &Type) -> Value {
        let base = self.context();
        match kind {
            FieldKind::Int { bytes, signed } => {
                self.builder.push(InstData::Load { bytes, signed, base, offset }, IrType::I64)
            }
            FieldKind::DataLoc => {
                // The low half says where in the record the text begins.
                let place = InstData::Load { bytes: 2, signed: false, base, offset };
                let place = self.builder.push(place, IrType::I64);
                let addr = self.builder.push(InstData::PtrAdd { base, offset: place }, IrType::Ptr);
                self.builder.push(InstData::ReadStr { user: false, addr }, ir_type(ty))
            }
            FieldKind::CharArray { .. } | FieldKind::IntArray { .. } | FieldKind::Opaque { .. } => {
                self.builder.push(InstData::LoadBytes { base, offset }, ir_type(ty))
            }
        }
    }
}
