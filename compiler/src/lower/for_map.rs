//! `for ($kv : @m)`: the kernel goes through the map and calls the body for each element.
//!
//! The body is a function of its own, a [`Callback`]. What it uses of the program around it is in
//! a frame on the stack of that program: the context pointer, a word that says that the program is
//! to end, and the variables that it shares with the body. They are copied in before the loop,
//! back and forth by each round, and out behind it.
//!
//! Whatever goes into the frame is added to a zero that only we know to be one. Else the kernel's
//! verifier would follow a counter through one round after another and never come to an end; and
//! kernels before 6.7, which look at a single round, would take what holds in the first for what
//! holds in all, and leave out what only later ones do.

use super::tuples::{ir_type_of_data, members};
use super::{Loop, Lowering, Place};
use crate::catalog::helpers::Helper;
use crate::check::program::{OuterVar, Stmt, Var};
use crate::ir::builder::FunctionBuilder;
use crate::ir::function::{Callback, Function, Type as IrType};
use crate::ir::inst::MapAddrOf;
use crate::ir::{BinaryOp, InstData, Value, Values, values};
use crate::manifest::{DataType, MapRef, MapValue};

/// The frame, as a loop's body sees it.
#[derive(Clone, Debug)]
pub struct Frame {
    address: Value,
    shared: Vec<Shared>,
}

/// A variable in the frame.
#[derive(Clone, Copy, Debug)]
struct Shared {
    var: Var,
    offset: i16,
    is_changed: bool,
}

impl Lowering<'_> {
    pub(super) fn for_map(&mut self, map: MapRef, var: Var, outer: &[OuterVar], body: &[Stmt]) {
        let (shared, bytes) = self.share(outer);
        let callback = self.body_of_loop(map, var, &shared, body);
        let slot = self.builder.func_mut().create_slot(bytes);
        let frame = self.builder.push(InstData::StackAddr { slot, offset: 0 }, IrType::Ptr);
        let (context, zero) = (self.context(), self.builder.iconst(0));
        self.store_word(context, frame, Callback::CONTEXT);
        self.store_word(zero, frame, Callback::ENDED);
        shared.iter().for_each(|shared| self.put_into(frame, shared));
        let map = self.builder.push(InstData::MapAddr { map: MapAddrOf::Script(map) }, IrType::Ptr);
        let callback = self.builder.push(InstData::CallbackAddr { callback }, IrType::Ptr);
        self.builder.call(Helper::ForEachMapElem, values![map, callback, frame, zero]);
        shared.iter().filter(|shared| shared.is_changed).for_each(|shared| self.take_from(frame, shared));
        self.end_if_told(frame);
    }

    /// The kernel says how many elements it went through; nothing is done for each.
    pub(super) fn map_len(&mut self, map: MapRef) -> Value {
        let map = self.builder.push(InstData::MapAddr { map: MapAddrOf::Script(map) }, IrType::Ptr);
        let callback = self.empty_body();
        let callback = self.builder.push(InstData::CallbackAddr { callback }, IrType::Ptr);
        let zero = self.builder.iconst(0);
        self.builder.call(Helper::ForEachMapElem, values![map, callback, zero, zero])
    }

    /// The callback that does nothing, one for all.
    fn empty_body(&mut self) -> u32 {
        // Bodies that are being made have no instructions yet.
        let is_empty = |func: &Function| match func.blocks[func.entry()].insts.as_slice() {
            [only] => matches!(func.insts[*only].data, InstData::Leave { goes_on: true }),
            _ => false,
        };
        if let Some(known) = self.callbacks.iter().position(is_empty) {
            return known as u32;
        }
        let number = self.callbacks.len() as u32;
        let mut builder = FunctionBuilder::callback(&format!("loop{number}"));
        builder.set_span(self.builder.span());
        builder.leave(true);
        self.callbacks.push(builder.finish());
        number
    }

    /// Where in the frame the variables are, and the bytes of the whole.
    fn share(&self, outer: &[OuterVar]) -> (Vec<Shared>, u32) {
        let mut bytes = Callback::FRAME_BYTES;
        let shared = |&OuterVar { var, is_changed }: &OuterVar| {
            let offset = bytes as i16;
            bytes += self.vars[var].ty.data().map_or(0, |ty| ty.size()).next_multiple_of(8);
            Shared { var, offset, is_changed }
        };
        (outer.iter().map(shared).collect(), bytes)
    }

    fn store_word(&mut self, value: Value, base: Value, offset: i16) {
        self.builder.effect(InstData::Store { bytes: 8, value, base, offset });
    }

    fn load_word(&mut self, base: Value, offset: i16, ty: IrType) -> Value {
        self.builder.push(InstData::Load { bytes: 8, signed: false, base, offset }, ty)
    }

    fn put_into(&mut self, frame: Value, &Shared { var, offset, .. }: &Shared) {
        let value = self.read_var(var);
        match self.place(var) {
            Place::Variable(_) => {
                let zero = self.unknown_zero();
                let veiled = self.builder.binary(BinaryOp::Add, value, zero);
                self.store_word(veiled, frame, offset);
            }
            Place::Slot(..) | Place::Element(_) => {
                self.builder.effect(InstData::StoreBytes { value, base: frame, offset });
            }
        }
    }

    fn unknown_zero(&mut self) -> Value {
        let offset = self.tables.bss.zeros(8);
        let base = self.builder.push(InstData::CounterAddr { offset }, IrType::Ptr);
        self.load_word(base, 0, IrType::I64)
    }

    fn take_from(&mut self, frame: Value, &Shared { var, offset, .. }: &Shared) {
        match self.place(var) {
            Place::Variable(variable) => {
                let value = self.load_word(frame, offset, IrType::I64);
                self.builder.define(variable, value);
            }
            Place::Slot(slot, bytes) => {
                let value = self.builder.push(InstData::LoadBytes { base: frame, offset }, IrType::Bytes(bytes));
                self.builder.effect(InstData::SlotStore { value, slot });
            }
            Place::Element(_) => {}
        }
    }

    /// The program ends behind a loop whose body ended it.
    fn end_if_told(&mut self, frame: Value) {
        let ended = self.load_word(frame, Callback::ENDED, IrType::I64);
        let (end, after) = (self.builder.create_block(), self.builder.create_block());
        self.builder.brif(ended, end, after);
        self.builder.seal(end);
        self.builder.switch_to(end);
        self.builder.ret();
        self.builder.seal(after);
        self.builder.switch_to(after);
    }

    /// Lowers the body to a callback; the answer is its number.
    fn body_of_loop(&mut self, map: MapRef, var: Var, shared: &[Shared], body: &[Stmt]) -> u32 {
        let number = self.callbacks.len();
        let name = format!("loop{number}");
        self.callbacks.push(Function::new_callback(&name)); // keeps the number; loops in the body come behind it
        let (key, value) = self.element_types(var);
        let mut inner = Lowering::new(FunctionBuilder::callback(&name), self.vars, self.tables, self.callbacks);
        inner.builder.set_span(self.builder.span());
        let given = inner.builder.func().callback().expect("it was made as a callback");
        inner.frame = Some(Frame { address: given.frame, shared: shared.to_vec() });
        inner.loops.push(Loop::Callback);
        shared.iter().for_each(|shared| inner.take_from(given.frame, shared));
        let key_value = inner.load_data(given.key, &key);
        let value = inner.element_value(map, (key_value, key), (given.value, value));
        inner.places[var] = Some(Place::Element([key_value, value]));
        inner.stmts(body);
        inner.leave(true);
        let finished = inner.builder.finish();
        self.callbacks[number] = finished;
        number as u32
    }

    /// How the keys and values of a map lie in memory.
    fn element_types(&self, var: Var) -> (DataType, DataType) {
        let mut members = members(&self.vars[var].ty);
        let (value, key) = (members.pop(), members.pop());
        let expected = "a loop's variable is a tuple of key and value";
        (key.expect(expected).ty, value.expect(expected).ty)
    }

    /// What an element holds. Of an aggregation the kernel gives one CPU's part: all are looked up.
    fn element_value(
        &mut self,
        map: MapRef,
        (key, key_type): (Value, DataType),
        (value, value_type): (Value, DataType),
    ) -> Value {
        if let MapValue::Data(_) = self.tables.maps[map.0 as usize].value {
            return self.load_data(value, &value_type);
        }
        let mut parts = Values::new();
        match key_type {
            DataType::Tuple(members) => self.take_apart(key, members, &mut parts),
            _ => parts.push(key),
        }
        self.builder.push(InstData::MapAggregated { map, key: parts }, IrType::I64)
    }

    fn load_data(&mut self, base: Value, ty: &DataType) -> Value {
        match (ir_type_of_data(ty), ty) {
            (bytes @ IrType::Bytes(_), _) => self.builder.push(InstData::LoadBytes { base, offset: 0 }, bytes),
            (word, DataType::Int { bytes, signed }) => {
                self.builder.push(InstData::Load { bytes: *bytes, signed: *signed, base, offset: 0 }, word)
            }
            (word, _) => self.load_word(base, 0, word),
        }
    }

    /// Ends a round: what it changed goes back to the frame.
    pub(super) fn leave(&mut self, goes_on: bool) {
        if self.builder.is_ended() {
            return;
        }
        let Frame { address, shared } = self.frame.clone().expect("only a loop's body is left");
        shared.iter().filter(|shared| shared.is_changed).for_each(|shared| self.put_into(address, shared));
        self.builder.leave(goes_on);
    }

    /// The program's context pointer.
    pub(super) fn context(&mut self) -> Value {
        match self.builder.func().callback() {
            None => self.builder.func().context(),
            Some(callback) => self.load_word(callback.frame, Callback::CONTEXT, IrType::Ptr),
        }
    }
}
