//! The textual form, for `--dump-ir` and the cases.

use std::fmt::{self, Display, Formatter};

use super::entities::{Block, Inst, Value};
use super::function::{Function, Module, Tables, Type};
use super::inst::{BlockCall, InstData, MapAddrOf};
use super::operators::{BinaryOp, CmpOp};
use crate::manifest::{EVENTS_MAP, MapRef, STAGE_MAP, stacks_map};

/// A function together with its tables, which know the maps' names.
pub struct DisplayFunction<'a> {
    /// The function shown.
    pub func: &'a Function,
    /// What its instructions refer to.
    pub tables: &'a Tables,
}

impl Display for Module {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, func) in self.all().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", DisplayFunction { func, tables: &self.tables })?;
        }
        Ok(())
    }
}

impl Display for DisplayFunction<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "function {} {{", self.func.name)?;
        for (slot, data) in &self.func.slots {
            writeln!(f, "    {slot} = stack_slot {}", data.size)?;
        }
        for &block in &self.func.layout {
            self.block(f, block)?;
        }
        writeln!(f, "}}")
    }
}

impl DisplayFunction<'_> {
    fn block(&self, f: &mut Formatter<'_>, block: Block) -> fmt::Result {
        let data = &self.func.blocks[block];
        write!(f, "{block}")?;
        if !data.params.is_empty() {
            let params: Vec<String> = data.params.iter().map(|&v| format!("{v}: {}", self.func.ty(v))).collect();
            write!(f, "({})", params.join(", "))?;
        }
        writeln!(f, "{}:", if data.is_cold { " cold" } else { "" })?;
        data.insts.iter().try_for_each(|&inst| self.inst(f, inst))
    }

    fn inst(&self, f: &mut Formatter<'_>, inst: Inst) -> fmt::Result {
        let node = &self.func.insts[inst];
        write!(f, "    ")?;
        if let Some(result) = node.result {
            match self.func.ty(result) {
                Type::I64 => write!(f, "{result} = ")?,
                ty => write!(f, "{result}: {ty} = ")?,
            }
        }
        self.data(f, &node.data)?;
        writeln!(f)
    }

    fn data(&self, f: &mut Formatter<'_>, data: &InstData) -> fmt::Result {
        match data {
            InstData::Iconst { imm } => write!(f, "iconst {imm}"),
            InstData::Binary { op, args: [a, b] } => write!(f, "{op} {a}, {b}"),
            InstData::Extend { signed, bytes, arg } => {
                write!(f, "{}extend.{bytes} {arg}", if *signed { "s" } else { "z" })
            }
            InstData::Icmp { op, args: [a, b] } => write!(f, "icmp {op} {a}, {b}"),
            InstData::Load { bytes, signed, base, offset } => {
                write!(f, "load.{}{bytes} {base}{offset:+}", if *signed { "s" } else { "u" })
            }
            InstData::Store { bytes, value, base, offset } => write!(f, "store.{bytes} {value}, {base}{offset:+}"),
            InstData::FetchAdd { value, base, offset } => write!(f, "fetch_add {value}, {base}{offset:+}"),
            InstData::AtomicAdd { value, base, offset } => write!(f, "atomic_add {value}, {base}{offset:+}"),
            InstData::PtrAdd { base, offset } => write!(f, "ptr_add {base}, {offset}"),
            InstData::StackAddr { slot, offset } => write!(f, "stack_addr {slot}+{offset}"),
            InstData::MapAddr { map: MapAddrOf::Events } => write!(f, "map_addr {EVENTS_MAP}"),
            InstData::MapAddr { map: MapAddrOf::Stacks { depth } } => write!(f, "map_addr {}", stacks_map(*depth)),
            InstData::MapAddr { map: MapAddrOf::Stage } => write!(f, "map_addr {STAGE_MAP}"),
            InstData::MapAddr { map: MapAddrOf::Script(map) } => write!(f, "map_addr {}", self.map(*map)),
            InstData::CounterAddr { offset } => write!(f, "counter_addr {offset}"),
            InstData::CallbackAddr { callback } => write!(f, "callback_addr loop{callback}"),
            InstData::Call { helper, args } => write!(f, "call {}({})", helper.info().name, list(args)),
            InstData::Comm => write!(f, "comm"),
            InstData::StringConst { text } => write!(f, "string {text:?}"),
            InstData::LoadBytes { base, offset } => write!(f, "load_bytes {base}{offset:+}"),
            InstData::ReadInt { user, bytes, signed, addr } => {
                let (space, sign) = (if *user { "user" } else { "kernel" }, if *signed { "s" } else { "u" });
                write!(f, "read.{space}.{sign}{bytes} {addr}")
            }
            InstData::ReadStr { user, addr } => {
                write!(f, "read_str.{} {addr}", if *user { "user" } else { "kernel" })
            }
            InstData::Tuple { members, parts } => {
                let parts = members.iter().zip(parts).map(|(member, part)| format!("{}: {part}", member.offset));
                write!(f, "tuple {}", parts.collect::<Vec<_>>().join(", "))
            }
            InstData::Element { tuple, member } => write!(f, "element {tuple}+{}", member.offset),
            InstData::BytesEq { args: [a, b], most: None } => write!(f, "bytes_eq {a}, {b}"),
            InstData::BytesEq { args: [a, b], most: Some(most) } => write!(f, "bytes_eq.{most} {a}, {b}"),
            InstData::StrLen { text } => write!(f, "str_len {text}"),
            InstData::StrByte { text, index } => write!(f, "str_byte {text}[{index}]"),
            InstData::Contains { args: [text, part] } => write!(f, "contains {text}, {part}"),
            InstData::SlotLoad { slot } => write!(f, "slot_load {slot}"),
            InstData::StoreBytes { value, base, offset } => write!(f, "store_bytes {value}, {base}{offset:+}"),
            InstData::SlotStore { value, slot } => write!(f, "slot_store {value}, {slot}"),
            InstData::MapLoad { map, key } => write!(f, "map_load {}", self.element(*map, key)),
            InstData::MapAggregated { map, key } => write!(f, "map_aggregated {}", self.element(*map, key)),
            InstData::MapHasKey { map, key } => write!(f, "map_has_key {}", self.element(*map, key)),
            InstData::MapStore { map, key, value, must } => {
                write!(f, "map_store{} {value}, {}", if *must { ".must" } else { "" }, self.element(*map, key))
            }
            InstData::MapFetchAdd { map, key, delta } => {
                write!(f, "map_fetch_add {delta}, {}", self.element(*map, key))
            }
            InstData::MapDelete { map, key } => write!(f, "map_delete {}", self.element(*map, key)),
            InstData::MapAggregate { map, key, value } => {
                write!(f, "map_aggregate {value}, {}", self.element(*map, key))
            }
            InstData::Output { record, fields } => write!(f, "output record{record}({})", list(fields)),
            InstData::Jump { dest } => write!(f, "jump {dest}"),
            InstData::Brif { cond, then, otherwise } => write!(f, "brif {cond}, {then}, {otherwise}"),
            InstData::FlushStage { arm } => write!(f, "flush_stage {arm}"),
            InstData::Return => write!(f, "return"),
            InstData::Leave { goes_on } => write!(f, "leave {}", if *goes_on { "next" } else { "stop" }),
        }
    }

    fn map(&self, map: MapRef) -> String {
        format!("@{}", self.tables.maps[map.0 as usize].name)
    }

    fn element(&self, map: MapRef, key: &[Value]) -> String {
        match key {
            [] => self.map(map),
            _ => format!("{}[{}]", self.map(map), list(key)),
        }
    }
}

fn list(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}

impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::I64 => write!(f, "i64"),
            Self::Ptr => write!(f, "ptr"),
            Self::Bytes(len) => write!(f, "bytes{len}"),
        }
    }
}

impl Display for BlockCall {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.args.as_slice() {
            [] => write!(f, "{}", self.block),
            args => write!(f, "{}({})", self.block, list(args)),
        }
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Udiv => "udiv",
            Self::Sdiv => "sdiv",
            Self::Urem => "urem",
            Self::Srem => "srem",
            Self::And => "and",
            Self::Or => "or",
            Self::Xor => "xor",
            Self::Shl => "shl",
            Self::Lshr => "lshr",
            Self::Ashr => "ashr",
        })
    }
}

impl Display for CmpOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Slt => "slt",
            Self::Sle => "sle",
            Self::Sgt => "sgt",
            Self::Sge => "sge",
            Self::Ult => "ult",
            Self::Ule => "ule",
            Self::Ugt => "ugt",
            Self::Uge => "uge",
        })
    }
}
