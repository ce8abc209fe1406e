//! From the upper level to the lower: map elements become look-ups, insertions and atomic
//! additions; strings and tuples become memory; records are built in their buffer and sent.
//!
//! Strings and tuples are placed where they are needed: one that goes into a single record, key or
//! tuple is written straight into it. Paths that are seldom taken (a new key, a full map, a full buffer) are
//! marked cold and end up behind the others.

mod aggregates;
mod bytes;
mod elements;
mod known;
mod records;
mod stage;
mod texts;

use cranelift_entity::SecondaryMap;
use pfscript_grammar::Span;

use self::known::{Address, ElementKey, Makers};
use super::rewrite::{Noted, Replacements};
use crate::catalog::helpers::Helper;
use crate::ir::entities::StackSlot;
use crate::ir::function::Callback;
use crate::ir::{Block, BlockCall, Function, Inst, InstData, Tables, Type, Value, Values, values};
use crate::manifest::{CounterKind, DataType, Member};

/// Expands all upper-level instructions.
pub fn expand(func: &mut Function, tables: &mut Tables) {
    let flow = func.flow();
    let layout = std::mem::take(&mut func.layout);
    let destinations = bytes::destinations(func, &layout);
    let uses = {
        func.layout.clone_from(&layout);
        let uses = func.use_counts();
        func.layout.clear();
        uses
    };
    let (current, makers) = (layout[0], Makers::of(func, &layout));
    let mut expander = Expander {
        func,
        tables,
        current,
        origin: current,
        elements: Noted::new(flow),
        noted_elements: 0,
        makers,
        span: Span::default(),
        uses,
        destinations,
        buffers: SecondaryMap::new(),
        places: SecondaryMap::new(),
        replacements: Replacements::new(),
    };
    for block in layout {
        expander.block(block);
    }
    let replacements = expander.replacements;
    replacements.apply(func);
    func.flow_changes();
}

struct Expander<'a> {
    func: &'a mut Function,
    tables: &'a mut Tables,
    /// Where new instructions go.
    current: Block,
    /// The block that is being expanded.
    origin: Block,
    /// Elements looked up so far, in the blocks as they were before.
    elements: Noted<ElementKey, (Address, u32)>,
    noted_elements: u32,
    /// What may make elements.
    makers: Makers,
    span: Span,
    uses: SecondaryMap<Value, u32>,
    /// For each string or tuple that only goes into one record, key or tuple: which, and as which
    /// part.
    destinations: SecondaryMap<Value, Option<(Inst, usize)>>,
    /// The memory in which a record or key is built.
    buffers: SecondaryMap<Inst, Option<StackSlot>>,
    /// Where each string and tuple lies.
    places: SecondaryMap<Value, Option<Place>>,
    replacements: Replacements,
}

/// A piece of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    slot: StackSlot,
    offset: u32,
}

impl Place {
    fn plus(self, bytes: u32) -> Self {
        Self { offset: self.offset + bytes, ..self }
    }
}

impl Expander<'_> {
    fn block(&mut self, block: Block) {
        self.func.layout.push(block);
        (self.current, self.origin) = (block, block);
        for inst in std::mem::take(&mut self.func.blocks[block].insts) {
            self.span = self.func.insts[inst].span;
            self.inst(inst);
        }
    }

    fn inst(&mut self, inst: Inst) {
        match self.func.insts[inst].data.clone() {
            InstData::Comm
            | InstData::StringConst { .. }
            | InstData::LoadBytes { .. }
            | InstData::ReadStr { .. }
            | InstData::Tuple { .. }
            | InstData::SlotLoad { .. } => self.bytes(inst),
            InstData::Element { tuple, member } => self.element(inst, tuple, &member),
            InstData::ReadInt { user, bytes, signed, addr } => self.read_int(inst, user, (bytes, signed), addr),
            InstData::StoreBytes { value, base, offset } => self.store_bytes(value, base, offset),
            InstData::Return => self.end_run(),
            InstData::SlotStore { value, slot } => self.slot_store(value, slot),
            InstData::StrLen { text } => self.str_len(inst, text),
            InstData::StrByte { text, index } => self.str_byte(inst, text, index),
            InstData::Contains { args: [text, part] } => self.contains(inst, text, part),
            InstData::BytesEq { args, most } => self.bytes_eq(inst, args, most),
            InstData::MapLoad { map, key } => self.map_load(inst, map, &key),
            InstData::MapAggregated { map, key } => self.map_aggregated(inst, map, &key),
            InstData::MapHasKey { map, key } => self.map_has_key(inst, map, &key),
            InstData::MapStore { map, key, value, must } => self.map_store(inst, map, &key, value, must),
            InstData::MapFetchAdd { map, key, delta } => self.map_fetch_add(inst, map, &key, delta),
            InstData::MapDelete { map, key } => self.map_delete(inst, map, &key),
            InstData::MapAggregate { map, key, value } => self.map_aggregate(inst, map, &key, value),
            InstData::FlushStage { arm } => self.flush_stage(arm),
            InstData::Output { record, fields } => self.output(inst, record, &fields),
            _ => self.func.blocks[self.current].insts.push(inst),
        }
    }

    /// Puts `inst` here with `data` in place of what it was; its value stays its value.
    fn become_here(&mut self, inst: Inst, data: InstData) {
        self.func.insts[inst].data = data;
        self.func.blocks[self.current].insts.push(inst);
    }

    fn result(&self, inst: Inst) -> Value {
        self.func.insts[inst].result.expect("an instruction with a value")
    }

    /// The helper fills the memory with zeros when it cannot read.
    fn read_int(&mut self, inst: Inst, user: bool, (bytes, signed): (u8, bool), addr: Value) {
        let place = Place { slot: self.func.create_slot(8), offset: 0 };
        let (address, size) = (self.address(place), self.iconst(bytes.into()));
        let helper = if user { Helper::ProbeReadUser } else { Helper::ProbeReadKernel };
        self.call(helper, values![address, size, addr], Type::I64);
        let base = self.address(place);
        self.become_here(inst, InstData::Load { bytes, signed, base, offset: 0 });
    }

    fn is_used(&self, inst: Inst) -> bool {
        self.func.insts[inst].result.is_some_and(|result| self.uses[result] > 0)
    }

    fn push(&mut self, data: InstData, ty: Type) -> Value {
        let inst = self.func.append_inst(self.current, data, Some(ty), self.span);
        self.result(inst)
    }

    fn effect(&mut self, data: InstData) {
        self.func.append_inst(self.current, data, None, self.span);
    }

    fn iconst(&mut self, imm: i64) -> Value {
        self.push(InstData::Iconst { imm }, Type::I64)
    }

    fn call(&mut self, helper: Helper, args: Values, ty: Type) -> Value {
        self.push(InstData::Call { helper, args }, ty)
    }

    fn load(&mut self, bytes: u8, base: Value, offset: u32) -> Value {
        self.push(InstData::Load { bytes, signed: false, base, offset: offset as i16 }, Type::I64)
    }

    fn address(&mut self, place: Place) -> Value {
        self.push(InstData::StackAddr { slot: place.slot, offset: place.offset }, Type::Ptr)
    }

    fn store(&mut self, bytes: u8, value: Value, place: Place) {
        let base = self.address(Place { offset: 0, ..place });
        self.effect(InstData::Store { bytes, value, base, offset: place.offset as i16 });
    }

    /// Ends the program; from a callback by way of the one who called the helper.
    fn end_run(&mut self) {
        let Some(callback) = self.func.callback() else { return self.effect(InstData::Return) };
        let one = self.iconst(1);
        self.effect(InstData::Store { bytes: 8, value: one, base: callback.frame, offset: Callback::ENDED });
        self.effect(InstData::Leave { goes_on: false });
    }

    fn context(&mut self) -> Value {
        match self.func.callback() {
            None => self.func.context(),
            Some(callback) => {
                let data = InstData::Load { bytes: 8, signed: false, base: callback.frame, offset: Callback::CONTEXT };
                self.push(data, Type::Ptr)
            }
        }
    }

    fn block_after(&mut self) -> Block {
        self.func.append_block()
    }

    fn cold_block(&mut self) -> Block {
        let block = self.func.append_block();
        self.func.blocks[block].is_cold = true;
        block
    }

    fn jump(&mut self, block: Block, args: Values) {
        self.effect(InstData::Jump { dest: BlockCall::new(block, args) });
    }

    fn brif(&mut self, cond: Value, then: (Block, Values), otherwise: (Block, Values)) {
        let (then, otherwise) = (BlockCall::new(then.0, then.1), BlockCall::new(otherwise.0, otherwise.1));
        self.effect(InstData::Brif { cond, then, otherwise });
    }

    /// A branch on whether a pointer is null.
    fn branch_on_pointer(&mut self, pointer: Value, found: (Block, Values), null: (Block, Values)) {
        let zero = self.iconst(0);
        let args = [pointer, zero];
        let is_found = self.push(InstData::Icmp { op: crate::ir::CmpOp::Ne, args }, Type::I64);
        self.brif(is_found, found, null);
    }

    /// Adds one to the counter of `what`.
    fn count(&mut self, what: CounterKind) {
        let offset = self.tables.bss.counter(what);
        let base = self.push(InstData::CounterAddr { offset }, Type::Ptr);
        let one = self.iconst(1);
        self.effect(InstData::AtomicAdd { value: one, base, offset: 0 });
    }

    /// The memory in which the record or key of `inst` is built.
    fn buffer(&mut self, inst: Inst, size: u32) -> Place {
        let func = &mut *self.func;
        let slot = *self.buffers[inst].get_or_insert_with(|| func.create_slot(size));
        Place { slot, offset: 0 }
    }

    /// Writes `values` as `members` into the `size` bytes at `place`, and zeros between them.
    fn fill(&mut self, place: Place, from: u32, size: u32, members: &[Member], values: &[Value]) {
        let mut end = from;
        for (member, &value) in members.iter().zip(values) {
            self.zero(place.plus(end), member.offset - end);
            self.put(place.plus(member.offset), &member.ty, value);
            end = member.offset + member.ty.size();
        }
        self.zero(place.plus(end), size - end);
    }

    fn put(&mut self, place: Place, ty: &DataType, value: Value) {
        match ty.is_bytes() {
            true => self.put_bytes(place, ty.size(), value),
            false => self.store(ty.size() as u8, value, place),
        }
    }

    /// Zeros in the largest aligned pieces.
    fn zero(&mut self, place: Place, bytes: u32) {
        let mut done = 0;
        while done < bytes {
            let piece = piece_at(place.offset + done, bytes - done);
            let zero = self.iconst(0);
            self.store(piece as u8, zero, place.plus(done));
            done += piece;
        }
    }
}

/// The size of the largest aligned access at `offset` that covers at most `bytes`.
fn piece_at(offset: u32, bytes: u32) -> u32 {
    [8, 4, 2].into_iter().find(|&piece| offset.is_multiple_of(piece) && bytes >= piece).unwrap_or(1)
}
