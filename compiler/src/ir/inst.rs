//! The instructions.

use thin_vec::ThinVec;

use super::entities::{Block, StackSlot, Value};
use super::operators::{BinaryOp, CmpOp};
use crate::catalog::helpers::Helper;
use crate::manifest::{MapRef, Member};

/// A list of values that takes one word where it is kept, as most instructions have short ones.
pub type Values = ThinVec<Value>;

/// A block and the arguments for its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockCall {
    /// Where to go.
    pub block: Block,
    /// One value for each of the block's parameters.
    pub args: Values,
}

impl BlockCall {
    /// Goes to `block` with `args`.
    pub fn new(block: Block, args: Values) -> Self {
        Self { block, args }
    }
}

/// What an instruction does. The comments give the textual form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InstData {
    /// `v0 = iconst -1`
    Iconst {
        /// The value.
        imm: i64,
    },
    /// `v2 = add v0, v1`
    Binary {
        /// Which operation.
        op: BinaryOp,
        /// Left and right operand.
        args: [Value; 2],
    },
    /// `v1 = sextend.4 v0`: the low `bytes` of the operand, extended to 64 bits.
    Extend {
        /// Sign-extended, else zero-extended.
        signed: bool,
        /// 1, 2 or 4.
        bytes: u8,
        /// The operand.
        arg: Value,
    },
    /// `v2 = icmp slt v0, v1`
    Icmp {
        /// Which comparison.
        op: CmpOp,
        /// Left and right operand.
        args: [Value; 2],
    },
    /// `v1 = load.u4 v0+12`: 1, 2, 4 or 8 bytes, extended to 64 bits.
    Load {
        /// Width in bytes.
        bytes: u8,
        /// Sign-extended, else zero-extended.
        signed: bool,
        /// The address.
        base: Value,
        /// Bytes added to it.
        offset: i16,
    },
    /// `store.4 v1, v0+12`: the low bytes of `value`.
    Store {
        /// Width in bytes.
        bytes: u8,
        /// What is stored.
        value: Value,
        /// The address.
        base: Value,
        /// Bytes added to it.
        offset: i16,
    },
    /// `v2 = fetch_add v1, v0+0`: atomic on 8 bytes; the result is the old value.
    FetchAdd {
        /// What is added.
        value: Value,
        /// The address.
        base: Value,
        /// Bytes added to it.
        offset: i16,
    },
    /// `atomic_add v1, v0+0`: [`InstData::FetchAdd`] whose old value nobody wants.
    AtomicAdd {
        /// What is added.
        value: Value,
        /// The address.
        base: Value,
        /// Bytes added to it.
        offset: i16,
    },
    /// `v2 = ptr_add v0, v1`: an address so many bytes further; the verifier wants to know the
    /// bounds of the offset.
    PtrAdd {
        /// The address.
        base: Value,
        /// Bytes added to it.
        offset: Value,
    },
    /// `v0 = stack_addr ss0+8`
    StackAddr {
        /// The slot.
        slot: StackSlot,
        /// Bytes from its start.
        offset: u32,
    },
    /// `v0 = map_addr @faults`: the map as helpers take it.
    MapAddr {
        /// The map.
        map: MapAddrOf,
    },
    /// `v0 = counter_addr 8`: the address of these bytes of `.bss`.
    CounterAddr {
        /// Bytes from the start of `.bss`.
        offset: u32,
    },
    /// `v0 = callback_addr loop0`: a callback as helpers take it.
    CallbackAddr {
        /// Index into the module's callbacks.
        callback: u32,
    },
    /// `v1 = call get_current_pid_tgid()`
    Call {
        /// Which helper.
        helper: Helper,
        /// At most five arguments.
        args: Values,
    },

    // The upper level: gone after `optimize::expand`.
    /// `v0 = comm`: the current task's name, 16 bytes.
    Comm,
    /// `v0 = string "..."`: a text known at compile time, padded with NUL to the value's type.
    StringConst {
        /// The text, not longer than the type.
        text: String,
    },
    /// `v1 = load_bytes v0+8`: a string field of fixed size in a context record.
    LoadBytes {
        /// The address.
        base: Value,
        /// Bytes added to it.
        offset: i16,
    },
    /// `v1 = read.kernel.s4 v0`: an integer at any address; 0 when it cannot be read.
    ReadInt {
        /// In user space, else in the kernel.
        user: bool,
        /// Width in bytes.
        bytes: u8,
        /// Sign-extended, else zero-extended.
        signed: bool,
        /// The address.
        addr: Value,
    },
    /// `v1 = read_str.kernel v0`: a NUL-ended string at an address.
    ReadStr {
        /// In user space, else in the kernel.
        user: bool,
        /// The address.
        addr: Value,
    },
    /// `v2: bytes24 = tuple 0: v0, 8: v1`: values side by side, zeros between them.
    Tuple {
        /// Where and as what each value is stored.
        members: ThinVec<Member>,
        /// The values.
        parts: Values,
    },
    /// `v1 = element v0+8`: what lies so many bytes into a tuple.
    Element {
        /// The tuple.
        tuple: Value,
        /// Bytes from its start, and what lies there.
        member: Box<Member>,
    },
    /// `v2 = bytes_eq v0, v1`: 1 when two strings (or tuples of one layout) are equal: in all
    /// their bytes, for what follows a string's NUL is NUL too.
    BytesEq {
        /// The two.
        args: [Value; 2],
        /// Only so many bytes matter: `v2 = bytes_eq.3 v0, v1`.
        most: Option<u32>,
    },
    /// `v1 = str_len v0`: the bytes of a string in front of its NUL.
    StrLen {
        /// The string.
        text: Value,
    },
    /// `v2 = str_byte v0[v1]`: a byte of a string, sign-extended; 0 behind its end.
    StrByte {
        /// The string.
        text: Value,
        /// Which.
        index: Value,
    },
    /// `v2 = contains v0, v1`: 1 when the second string is somewhere in the first.
    Contains {
        /// The two.
        args: [Value; 2],
    },
    /// `v1 = slot_load ss0`: a string variable's present value.
    SlotLoad {
        /// The variable's slot.
        slot: StackSlot,
    },
    /// `store_bytes v1, v0+8`: a string or tuple, all its bytes, into the frame of a loop; the
    /// kernel's verifier does not learn what it holds.
    StoreBytes {
        /// The value.
        value: Value,
        /// The address.
        base: Value,
        /// Bytes added to it.
        offset: i16,
    },
    /// `slot_store v1, ss0`: a new value for a string variable.
    SlotStore {
        /// The value.
        value: Value,
        /// The variable's slot.
        slot: StackSlot,
    },
    /// `v2 = map_load @m[v0, v1]`: the element, or zero (an empty string) when there is none.
    MapLoad {
        /// The map.
        map: MapRef,
        /// The key's parts.
        key: Values,
    },
    /// `v2 = map_aggregated @m[v0]`: what the aggregation of an element came to so far, of all
    /// CPUs (`avg`: the quotient); 0 when there is no such element.
    MapAggregated {
        /// The map.
        map: MapRef,
        /// The key's parts.
        key: Values,
    },
    /// `v2 = map_has_key @m[v0]`: 1 when there is such an element.
    MapHasKey {
        /// The map.
        map: MapRef,
        /// The key's parts.
        key: Values,
    },
    /// `map_store v2, @m[v0, v1]`
    MapStore {
        /// The map.
        map: MapRef,
        /// The key's parts.
        key: Values,
        /// The new value.
        value: Value,
        /// A later read is served with `value`: so if it cannot be stored, the run ends.
        must: bool,
    },
    /// `v2 = map_fetch_add v1, @m[v0]`: one atomic addition, from zero when there was no
    /// element; the result is the old value. If the result is used and the map is full, the run ends.
    MapFetchAdd {
        /// The map.
        map: MapRef,
        /// The key's parts.
        key: Values,
        /// What is added.
        delta: Value,
    },
    /// `v1 = map_delete @m[v0]`: 1 when there was such an element.
    MapDelete {
        /// The map.
        map: MapRef,
        /// The key's parts.
        key: Values,
    },
    /// `map_aggregate v1, @m[v0]`: adds `value` to the element in the way of its map's type
    /// (`count`, `min`, `hist`, ...).
    MapAggregate {
        /// The map.
        map: MapRef,
        /// The key's parts.
        key: Values,
        /// The value taken in.
        value: Value,
    },
    /// `output record0(v0, v1)`: sends a record; one value for each field that has bytes in it.
    Output {
        /// Index into the manifest's records.
        record: u32,
        /// The fields' values.
        fields: Values,
    },

    /// `flush_stage v0`: sends what this CPU has staged, and arms or disarms its stage. The function
    /// ends where that cannot be done now, as by `leave stop`.
    FlushStage {
        /// Whether records are to be staged from here on.
        arm: Value,
    },

    // Terminators.
    /// `jump block1(v0)`
    Jump {
        /// Where to.
        dest: BlockCall,
    },
    /// `brif v0, block1, block2(v1)`: the first when `cond` is not zero.
    Brif {
        /// The condition.
        cond: Value,
        /// Taken when it is not zero.
        then: BlockCall,
        /// Taken when it is zero.
        otherwise: BlockCall,
    },
    /// `return`: the program ends with 0. In a callback on the upper level: the program that
    /// called the helper ends.
    Return,
    /// `leave next` or `leave stop`: the callback ends; the loop goes on with the next element, or
    /// ends too. The kernel is told 0 or 1.
    Leave {
        /// Whether the loop goes on.
        goes_on: bool,
    },
}

/// Which map an address is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapAddrOf {
    /// A map of the script.
    Script(MapRef),
    /// The perf event array.
    Events,
    /// The stack trace map of that depth.
    Stacks {
        /// The most frames.
        depth: u32,
    },
    /// The array with each CPU's stage.
    Stage,
}

impl InstData {
    /// Whether it ends a block.
    pub fn is_terminator(&self) -> bool {
        matches!(self, Self::Jump { .. } | Self::Brif { .. } | Self::Return | Self::Leave { .. })
    }

    /// Whether it may go when nobody wants its value: it changes nothing that anybody can see.
    pub fn is_removable(&self) -> bool {
        match self {
            Self::Call { helper, .. } => helper.info().is_removable,
            _ => self.is_computation() || self.is_read(),
        }
    }

    /// Whether two of it with equal operands have equal values wherever they stand in one run.
    pub fn is_shareable(&self) -> bool {
        match self {
            Self::Call { helper, .. } => helper.info().is_constant_in_a_run,
            _ => self.is_computation(),
        }
    }

    /// Whether its value depends on its operands alone, or is the same throughout a run.
    fn is_computation(&self) -> bool {
        matches!(
            self,
            Self::Iconst { .. }
                | Self::Binary { .. }
                | Self::Extend { .. }
                | Self::Icmp { .. }
                | Self::PtrAdd { .. }
                | Self::StackAddr { .. }
                | Self::MapAddr { .. }
                | Self::CounterAddr { .. }
                | Self::CallbackAddr { .. }
                | Self::Comm
                | Self::StringConst { .. }
                | Self::Tuple { .. }
                | Self::Element { .. }
                | Self::BytesEq { .. }
                | Self::StrLen { .. }
                | Self::StrByte { .. }
                | Self::Contains { .. }
        )
    }

    /// Whether its value is what memory or a map holds at the moment, and reading is all it does.
    fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Load { .. }
                | Self::LoadBytes { .. }
                | Self::ReadInt { .. }
                | Self::ReadStr { .. }
                | Self::SlotLoad { .. }
                | Self::MapLoad { .. }
                | Self::MapAggregated { .. }
                | Self::MapHasKey { .. }
        )
    }
}

/// Passes go through all instructions again and again: what no cache holds takes several times longer.
const _: () = assert!(size_of::<InstData>() <= 40, "lists of values take one word");
