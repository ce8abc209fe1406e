//! Strings and tuples: where each lies, how it gets there, and how two are compared.
//!
//! In memory a string is padded with NUL to a multiple of 8 bytes, unless it is part of a record,
//! key or tuple, and the bytes between a tuple's elements are zero. So two are equal when their
//! words are.

use cranelift_entity::SecondaryMap;

use super::{Expander, Place, piece_at};
use crate::catalog::helpers::Helper;
use crate::ir::entities::StackSlot;
use crate::ir::{BinaryOp, Block, CmpOp, Function, Inst, InstData, Type, Value, Values, values};
use crate::manifest::{DataType, Member};

/// For each string or tuple with a single use, as part of a record, key or tuple in the same
/// block, or as the new value of a variable: that use.
pub(super) fn destinations(func: &Function, layout: &[Block]) -> SecondaryMap<Value, Option<(Inst, usize)>> {
    let mut uses: SecondaryMap<Value, u32> = SecondaryMap::new();
    let mut destinations = SecondaryMap::new();
    for &block in layout {
        let insts = &func.blocks[block].insts;
        for &inst in insts {
            func.insts[inst].data.for_each_operand(|operand| uses[operand] += 1);
            for (index, &part) in parts(&func.insts[inst].data).iter().enumerate() {
                let is_here = |&&other: &&Inst| func.insts[other].result == Some(part) && writes_anew(func, other);
                if matches!(func.ty(part), Type::Bytes(_)) && insts.iter().any(|other| is_here(&other)) {
                    destinations[part] = Some((inst, index));
                }
            }
        }
        for (index, pair) in insts.windows(2).enumerate() {
            if let Some(value) = value_of_variable(func, &insts[..index], pair[0], pair[1]) {
                destinations[value] = Some((pair[1], 0));
            }
        }
    }
    for value in func.values.keys() {
        if uses[value] != 1 {
            destinations[value] = None;
        }
    }
    destinations
}

/// The value that `made` makes and `stored` directly behind it makes a variable's. A tuple must not
/// be of the variable itself: its first elements would be overwritten before the last are read.
fn value_of_variable(func: &Function, before: &[Inst], made: Inst, stored: Inst) -> Option<Value> {
    let InstData::SlotStore { value, slot } = func.insts[stored].data else { return None };
    let is_of_it = |&inst: &Inst| matches!(func.insts[inst].data, InstData::SlotLoad { slot: read } if read == slot);
    let is_tuple = matches!(func.insts[made].data, InstData::Tuple { .. });
    let is_whole = func.insts[made].result == Some(value) && writes_anew(func, made);
    (is_whole && !(is_tuple && before.iter().any(is_of_it))).then_some(value)
}

/// The values that an instruction puts side by side into memory.
fn parts(data: &InstData) -> &[Value] {
    match data {
        InstData::Output { fields, .. } => fields,
        InstData::Tuple { parts, .. } => parts,
        InstData::MapLoad { key, .. }
        | InstData::MapAggregated { key, .. }
        | InstData::MapHasKey { key, .. }
        | InstData::MapStore { key, .. }
        | InstData::MapFetchAdd { key, .. }
        | InstData::MapDelete { key, .. }
        | InstData::MapAggregate { key, .. } => key,
        _ => &[],
    }
}

fn writes_anew(func: &Function, inst: Inst) -> bool {
    use InstData::{Comm, Element, LoadBytes, ReadStr, StringConst, Tuple};
    matches!(
        func.insts[inst].data,
        Comm | StringConst { .. } | LoadBytes { .. } | ReadStr { .. } | Tuple { .. } | Element { .. }
    )
}

impl Expander<'_> {
    pub(super) fn len(&self, value: Value) -> u32 {
        match self.func.ty(value) {
            Type::Bytes(len) => len,
            Type::I64 | Type::Ptr => 8,
        }
    }

    /// Where the string or tuple `value` lies.
    pub(super) fn place(&self, value: Value) -> Place {
        self.places[value].expect("strings and tuples are placed before they are used")
    }

    /// The place of the string or tuple that `inst` makes; a tuple has it before it is made when
    /// an element was written straight into it.
    fn place_for(&mut self, inst: Inst) -> Place {
        let value = self.result(inst);
        if let Some(place) = self.places[value] {
            return place;
        }
        let place = match self.func.insts[inst].data {
            InstData::SlotLoad { slot } => Place { slot, offset: 0 },
            _ => self.destination(value, self.len(value)),
        };
        self.places[value] = Some(place);
        place
    }

    /// An element of a tuple: a number is read, a string or tuple copied.
    pub(super) fn element(&mut self, inst: Inst, tuple: Value, member: &Member) {
        let from = self.place(tuple).plus(member.offset);
        let base = self.address(Place { offset: 0, ..from });
        match member.ty {
            _ if matches!(self.func.ty(self.result(inst)), Type::Bytes(_)) => {
                let place = self.place_for(inst);
                self.copy(base, from.offset, place, member.ty.size());
            }
            DataType::Int { bytes, signed } => {
                self.become_here(inst, InstData::Load { bytes, signed, base, offset: from.offset as i16 });
            }
            _ => self.become_here(inst, InstData::Load { bytes: 8, signed: true, base, offset: from.offset as i16 }),
        }
    }

    /// Gives the string or tuple that `inst` makes its place, and writes it there.
    pub(super) fn bytes(&mut self, inst: Inst) {
        let value = self.result(inst);
        let (len, place) = (self.len(value), self.place_for(inst));
        match self.func.insts[inst].data.clone() {
            InstData::Comm => {
                // Some kernels (6.1) write no further than the NUL, which is enough in a record.
                if !self.goes_into_record(value) {
                    self.zero(place, len);
                }
                let (address, size) = (self.address(place), self.iconst(len.into()));
                self.call(Helper::GetCurrentComm, values![address, size], Type::I64);
            }
            InstData::StringConst { text } => self.write_text(place, len, &text),
            InstData::LoadBytes { base, offset } => self.copy(base, offset as u32, place, len),
            InstData::ReadStr { user, addr } => self.read_string(user, addr, place, len),
            InstData::Tuple { members, parts } => self.fill(place, 0, len, &members, &parts),
            _ => {}
        }
    }

    fn goes_into_record(&self, value: Value) -> bool {
        let Some((consumer, _)) = self.destinations[value] else { return false };
        matches!(self.func.insts[consumer].data, InstData::Output { .. })
    }

    /// In the record, key, tuple or variable that the value goes into, or a slot of its own.
    fn destination(&mut self, value: Value, len: u32) -> Place {
        let Some((consumer, index)) = self.destinations[value] else {
            let slot = self.func.create_slot(len);
            let place = Place { slot, offset: 0 };
            let whole_words = len / 8 * 8;
            self.zero(place.plus(whole_words), len.next_multiple_of(8) - whole_words);
            return place;
        };
        let (members, size) = match &self.func.insts[consumer].data {
            InstData::Output { record, .. } => {
                let layout = &self.tables.records[*record as usize];
                (super::records::stored_fields(layout), layout.size)
            }
            InstData::MapLoad { map, .. }
            | InstData::MapAggregated { map, .. }
            | InstData::MapHasKey { map, .. }
            | InstData::MapStore { map, .. }
            | InstData::MapFetchAdd { map, .. }
            | InstData::MapDelete { map, .. }
            | InstData::MapAggregate { map, .. } => {
                let info = &self.tables.maps[map.0 as usize];
                (info.key.clone(), info.key_size)
            }
            InstData::Tuple { members, .. } => {
                let offset = members[index].offset;
                return self.place_for(consumer).plus(offset);
            }
            InstData::SlotStore { slot, .. } => return Place { slot: *slot, offset: 0 },
            other => unreachable!("{other:?} has no parts"),
        };
        self.buffer(consumer, size).plus(members[index].offset)
    }

    /// A text that is known, and NUL up to `len`.
    fn write_text(&mut self, place: Place, len: u32, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(len as usize, 0);
        let mut done = 0;
        while done < len {
            let piece = piece_at(place.offset + done, len - done);
            let word = self.iconst(word(&bytes[done as usize..(done + piece) as usize]));
            self.store(piece as u8, word, place.plus(done));
            done += piece;
        }
    }

    fn read_string(&mut self, user: bool, addr: Value, place: Place, len: u32) {
        // The helper writes no further than the NUL.
        self.zero(place, len);
        let (address, size) = (self.address(place), self.iconst(len.into()));
        let helper = if user { Helper::ProbeReadUserStr } else { Helper::ProbeReadKernelStr };
        self.call(helper, values![address, size, addr], Type::I64);
    }

    /// Copies `len` bytes in the largest pieces that are aligned on both sides.
    pub(super) fn copy(&mut self, base: Value, offset: u32, place: Place, len: u32) {
        let mut done = 0;
        while done < len {
            let piece = piece_at((place.offset + done) | (offset + done), len - done);
            let word = self.load(piece as u8, base, offset + done);
            self.store(piece as u8, word, place.plus(done));
            done += piece;
        }
    }

    /// A place with the string or tuple `value` in `len` bytes, a multiple of 8: where it is, if it
    /// has that size.
    pub(super) fn padded(&mut self, value: Value, len: u32) -> Place {
        let from = self.place(value);
        if from.offset == 0 && self.func.slots[from.slot].size == len {
            return from;
        }
        let place = Place { slot: self.func.create_slot(len), offset: 0 };
        self.put_bytes(place, len, value);
        place
    }

    /// The string or tuple `value` in `len` bytes at `place`, cut or padded.
    pub(super) fn put_bytes(&mut self, place: Place, len: u32, value: Value) {
        let from = self.place(value);
        let present = self.len(value);
        if from != place {
            let base = self.address(Place { offset: 0, ..from });
            self.copy(base, from.offset, place, len.min(present));
        }
        if len > present {
            self.zero(place.plus(present), len - present);
        }
    }

    /// All of the string or tuple `value` to the frame of a loop, so that the kernel's verifier does
    /// not follow what it holds (see `lower::for_map`).
    pub(super) fn store_bytes(&mut self, value: Value, base: Value, offset: i16) {
        let (from, len) = (self.place(value), self.len(value));
        let source = self.address(Place { offset: 0, ..from });
        let zero_offset = self.tables.bss.zeros(8);
        let zeros = self.push(InstData::CounterAddr { offset: zero_offset }, Type::Ptr);
        let zero = self.load(8, zeros, 0);
        let mut done = 0;
        while done < len {
            let piece = piece_at((from.offset + done) | (offset as u32 + done), len - done);
            let word = self.load(piece as u8, source, from.offset + done);
            let word = self.push(InstData::Binary { op: BinaryOp::Add, args: [word, zero] }, Type::I64);
            self.effect(InstData::Store { bytes: piece as u8, value: word, base, offset: offset + done as i16 });
            done += piece;
        }
    }

    pub(super) fn slot_store(&mut self, value: Value, slot: StackSlot) {
        let size = self.func.slots[slot].size;
        self.put_bytes(Place { slot, offset: 0 }, size, value);
    }

    /// Compares word by word; behind the end of the shorter one the longer must be NUL.
    pub(super) fn bytes_eq(&mut self, inst: Inst, args: [Value; 2], most: Option<u32>) {
        let after = self.block_after();
        let equal = self.func.append_param(after, Type::I64);
        self.func.layout.pop();
        let words = args.map(|arg| self.len(arg).div_ceil(8));
        let most = most.unwrap_or(u32::MAX);
        for index in 0..words[0].max(words[1]).min(most.div_ceil(8)) {
            let [a, b] = [0, 1].map(|side| {
                let word = self.word(args[side], index, words[side]);
                self.first_bytes(word, most - index * 8)
            });
            let differs = self.push(InstData::Icmp { op: CmpOp::Ne, args: [a, b] }, Type::I64);
            let zero = self.iconst(0);
            let next = self.block_after();
            self.brif(differs, (after, values![zero]), (next, Values::new()));
            self.current = next;
        }
        let one = self.iconst(1);
        self.jump(after, values![one]);
        self.func.layout.push(after);
        self.current = after;
        let result = self.result(inst);
        self.replacements.replace(result, equal);
    }

    /// The first `count` bytes of a word in memory; the others are zero.
    fn first_bytes(&mut self, word: Value, count: u32) -> Value {
        if count >= 8 {
            return word;
        }
        let args = [word, self.iconst((1 << (count * 8)) - 1)];
        self.push(InstData::Binary { op: BinaryOp::And, args }, Type::I64)
    }

    /// Eight bytes of the string or tuple `value`, numbers `8 * index` on; zeros behind its `words`.
    pub(super) fn word(&mut self, value: Value, index: u32, words: u32) -> Value {
        if index >= words {
            return self.iconst(0);
        }
        if let Some(InstData::StringConst { text }) = self.func.def(value) {
            let bytes: Vec<u8> = text.bytes().skip(index as usize * 8).take(8).collect();
            return self.iconst(word(&bytes));
        }
        let place = self.place(value);
        let base = self.address(Place { offset: 0, ..place });
        self.load(8, base, place.offset + index * 8)
    }
}

/// Up to eight bytes as the number that a little-endian load of them gives.
fn word(bytes: &[u8]) -> i64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | i64::from(byte))
}
