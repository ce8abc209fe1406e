//! Functions and modules: the tables that the handles index.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use cranelift_entity::PrimaryMap;
use pfscript_grammar::Span;
use rustc_hash::FxHashSet;

use super::bss::Bss;
use super::entities::{Block, Inst, StackSlot, Value};
use super::flow::ControlFlow;
use super::inst::InstData;
use super::operators::BinaryOp;
use crate::manifest::{Action, MapInfo, MapKind, MapRef, MapValue, RecordLayout};

/// The type of an SSA value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A 64-bit integer.
    I64,
    /// An address that the kernel's verifier tracks: context, stack, map, map element.
    Ptr,
    /// So many bytes: text or a tuple. Not on the lower level.
    Bytes(u32),
}

/// A block's contents. The last instruction is its only terminator.
#[derive(Clone, Debug, Default)]
pub struct BlockData {
    /// Values that each jump to the block brings along.
    pub params: Vec<Value>,
    /// Instructions in order.
    pub insts: Vec<Inst>,
    /// Seldom run: laid out behind everything else.
    pub is_cold: bool,
}

/// An instruction in its function.
#[derive(Clone, Debug)]
pub struct InstNode {
    /// What it does.
    pub data: InstData,
    /// Its value, if it has one.
    pub result: Option<Value>,
    /// The place in the script that it comes from.
    pub span: Span,
}

/// Where a value is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueDef {
    /// By an instruction.
    Result(Inst),
    /// As this parameter of a block.
    Param(Block, usize),
}

/// A value's contents.
#[derive(Clone, Debug)]
pub struct ValueData {
    /// Its type.
    pub ty: Type,
    /// Where it comes from.
    pub def: ValueDef,
}

/// A stack slot's contents; always aligned to 8 bytes.
#[derive(Clone, Debug)]
pub struct StackSlotData {
    /// Bytes, a multiple of 8.
    pub size: u32,
}

/// The IR of one eBPF program.
#[derive(Clone, Debug)]
pub struct Function {
    /// The program's symbol.
    pub name: String,
    /// Blocks by handle, unreachable ones included.
    pub blocks: PrimaryMap<Block, BlockData>,
    /// Instructions by handle.
    pub insts: PrimaryMap<Inst, InstNode>,
    /// Values by handle.
    pub values: PrimaryMap<Value, ValueData>,
    /// Stack slots by handle.
    pub slots: PrimaryMap<StackSlot, StackSlotData>,
    /// The blocks that are part of the function, in order; the first is the entry. Its only
    /// parameter is the context pointer; of a callback it has the map and what [`Callback`] holds.
    pub layout: Vec<Block>,
    /// Whether it is a callback of a helper.
    pub is_callback: bool,
    /// How many more of its records may be staged: each takes some instructions more.
    pub stageable: u32,
    flow: OnceCell<Rc<ControlFlow>>,
}

/// What the helper gives a callback for each element of a map, behind the map itself.
#[derive(Clone, Copy, Debug)]
pub struct Callback {
    /// The element's key.
    pub key: Value,
    /// Its value.
    pub value: Value,
    /// A frame on the stack of whoever called the helper.
    pub frame: Value,
}

impl Callback {
    /// Where in the frame the program's context pointer is kept.
    pub const CONTEXT: i16 = 0;
    /// Where in the frame a callback says, by a 1, that the program is to end.
    pub const ENDED: i16 = 8;
    /// Bytes of these two; the loop's variables follow.
    pub const FRAME_BYTES: u32 = 16;
}

/// All IR of a script.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// One function per program, in the manifest's order of targets and alternatives.
    pub functions: Vec<Function>,
    /// The bodies of loops over maps, by the number in `callback_addr`.
    pub callbacks: Vec<Function>,
    /// What sends staged records, when functions stage any.
    pub flush: Option<Function>,
    /// What their instructions refer to.
    pub tables: Tables,
}

/// The tables that instructions refer to.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Maps by [`MapRef`](crate::manifest::MapRef).
    pub maps: Vec<MapInfo>,
    /// Records by the index in `output`.
    pub records: Vec<RecordLayout>,
    /// What lies in `.bss`.
    pub bss: Bss,
    /// How deep the stacks are that programs take.
    pub stack_depths: BTreeSet<u32>,
    /// Whether a program stages records.
    pub uses_stage: bool,
    /// How many values of a key a per-CPU map holds; 0 when no program wants to know.
    pub possible_cpus: u32,
    /// Maps to which nothing is done but small positive additions and deletions.
    pub growing: FxHashSet<MapRef>,
    /// Maps from which something is removed: by `delete` or `clear`.
    pub shrinking: FxHashSet<MapRef>,
}

/// Additions below this make a map a growing one.
const SMALL: i64 = 1 << 16;

impl Tables {
    /// Whether an element of `map`, once there, stays where it is: nothing is removed, evicted, or
    /// exchanged as a whole.
    pub fn keeps_elements(&self, map: MapRef) -> bool {
        let info = &self.maps[map.0 as usize];
        let is_number = !matches!(&info.value, MapValue::Data(ty) if ty.is_bytes());
        is_number && info.kind != MapKind::LruHash && !self.shrinking.contains(&map)
    }

    /// Whether `value` is what an addition to an element of a growing map gave.
    pub fn is_growing_count(&self, func: &Function, value: Value) -> bool {
        let Some(&InstData::Binary { op: BinaryOp::Add, args: [old, delta] }) = func.def(value) else { return false };
        match func.def(old) {
            Some(InstData::MapFetchAdd { map, delta: added, .. }) => *added == delta && self.growing.contains(map),
            _ => false,
        }
    }
}

impl Module {
    /// Notes the maps that something is removed from. To be asked before anything is expanded.
    pub fn note_shrinking_maps(&mut self) {
        let deleted = self.all().flat_map(|func| func.insts.values()).filter_map(|node| match node.data {
            InstData::MapDelete { map, .. } => Some(map),
            _ => None,
        });
        let cleared = self.tables.records.iter().filter_map(|record| match record.action {
            Action::Clear(map) => Some(map),
            _ => None,
        });
        self.tables.shrinking = deleted.chain(cleared).collect();
    }

    /// All functions: the programs, then the callbacks, then what sends staged records.
    pub fn all(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter().chain(&self.callbacks).chain(&self.flush)
    }

    /// Notes the maps that only grow. To be asked before anything is expanded.
    pub fn note_growing_maps(&mut self) {
        let mut growing: Vec<bool> = vec![true; self.tables.maps.len()];
        for func in self.all() {
            for node in func.insts.values() {
                match &node.data {
                    InstData::MapFetchAdd { map, delta, .. } => {
                        let is_small = func.constant(*delta).is_some_and(|delta| (1..SMALL).contains(&delta));
                        growing[map.0 as usize] &= is_small;
                    }
                    InstData::MapStore { map, .. } | InstData::MapAggregate { map, .. } => {
                        growing[map.0 as usize] = false;
                    }
                    _ => {}
                }
            }
        }
        let refs = (0..).map(MapRef).zip(growing);
        self.tables.growing = refs.filter_map(|(map, grows)| grows.then_some(map)).collect();
    }
}

impl Function {
    /// A function with an entry block that takes the context pointer.
    pub fn new(name: impl Into<String>) -> Self {
        let mut func = Self {
            name: name.into(),
            blocks: PrimaryMap::new(),
            insts: PrimaryMap::new(),
            values: PrimaryMap::new(),
            slots: PrimaryMap::new(),
            layout: Vec::new(),
            is_callback: false,
            stageable: 0,
            flow: OnceCell::new(),
        };
        let entry = func.append_block();
        func.append_param(entry, Type::Ptr);
        func
    }

    /// A callback with an entry block that takes what the helper gives.
    pub fn new_callback(name: impl Into<String>) -> Self {
        let mut func = Self { is_callback: true, ..Self::new(name) };
        for _ in 1..4 {
            func.append_param(func.entry(), Type::Ptr);
        }
        func
    }

    /// What a callback is given.
    pub fn callback(&self) -> Option<Callback> {
        match *self.blocks[self.entry()].params {
            [_, key, value, frame] if self.is_callback => Some(Callback { key, value, frame }),
            _ => None,
        }
    }

    /// The entry block.
    pub fn entry(&self) -> Block {
        self.layout[0]
    }

    /// The context pointer of a program. A callback finds it in its frame.
    pub fn context(&self) -> Value {
        self.blocks[self.entry()].params[0]
    }

    /// The control flow, looked at once and kept until it changes.
    pub fn flow(&self) -> Rc<ControlFlow> {
        self.flow.get_or_init(|| Rc::new(ControlFlow::of(self))).clone()
    }

    /// To be called by whoever changes where a terminator leads; `verify` finds out who forgets it.
    pub fn flow_changes(&mut self) {
        self.flow.take();
    }

    /// Adds an empty block at the end of the layout.
    pub fn append_block(&mut self) -> Block {
        let block = self.blocks.push(BlockData::default());
        self.layout.push(block);
        block
    }

    /// Adds a parameter to `block`.
    pub fn append_param(&mut self, block: Block, ty: Type) -> Value {
        let index = self.blocks[block].params.len();
        let value = self.values.push(ValueData { ty, def: ValueDef::Param(block, index) });
        self.blocks[block].params.push(value);
        value
    }

    /// Makes an instruction that is in no block yet, with a result of type `ty`.
    pub fn make_inst(&mut self, data: InstData, ty: Option<Type>, span: Span) -> Inst {
        let inst = self.insts.push(InstNode { data, result: None, span });
        self.insts[inst].result = ty.map(|ty| self.values.push(ValueData { ty, def: ValueDef::Result(inst) }));
        inst
    }

    /// Adds an instruction at the end of `block`.
    pub fn append_inst(&mut self, block: Block, data: InstData, ty: Option<Type>, span: Span) -> Inst {
        let inst = self.make_inst(data, ty, span);
        self.blocks[block].insts.push(inst);
        inst
    }

    /// The instruction that ends `block`.
    pub fn terminator(&self, block: Block) -> &InstData {
        let last = self.blocks[block].insts.last().expect("every block of a finished function ends in a terminator");
        &self.insts[*last].data
    }

    /// The type of `value`.
    pub fn ty(&self, value: Value) -> Type {
        self.values[value].ty
    }

    /// The instruction that defines `value`, unless it is a block's parameter.
    pub fn def(&self, value: Value) -> Option<&InstData> {
        match self.values[value].def {
            ValueDef::Result(inst) => Some(&self.insts[inst].data),
            ValueDef::Param(..) => None,
        }
    }

    /// The number that `value` is known to be.
    pub fn constant(&self, value: Value) -> Option<i64> {
        match self.def(value) {
            Some(InstData::Iconst { imm }) => Some(*imm),
            _ => None,
        }
    }

    /// Adds a stack slot of at least `size` bytes.
    pub fn create_slot(&mut self, size: u32) -> StackSlot {
        self.slots.push(StackSlotData { size: size.next_multiple_of(8) })
    }

    /// Replaces operands all over the function as `replacement` says.
    pub fn replace_operands(&mut self, mut replacement: impl FnMut(Value) -> Value) {
        for index in 0..self.layout.len() {
            let block = self.layout[index];
            for inst in self.blocks[block].insts.clone() {
                self.insts[inst].data.for_each_operand_mut(|operand| *operand = replacement(*operand));
            }
        }
    }

    /// How often each value is an operand.
    pub fn use_counts(&self) -> cranelift_entity::SecondaryMap<Value, u32> {
        let mut counts = cranelift_entity::SecondaryMap::new();
        for &block in &self.layout {
            for &inst in &self.blocks[block].insts {
                self.insts[inst].data.for_each_operand(|operand| counts[operand] += 1);
            }
        }
        counts
    }
}
