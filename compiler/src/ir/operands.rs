//! What an instruction uses, and where it goes: each visited in one place, to be read or replaced.

use super::entities::Value;
use super::inst::{BlockCall, InstData};

/// Calls `$visit` with each operand of the instruction `$data`, in the order of the textual form.
/// It is a macro so that one text serves `&InstData` and `&mut InstData`.
macro_rules! visit_operands {
    ($data:expr, $visit:ident) => {
        match $data {
            InstData::Iconst { .. }
            | InstData::StackAddr { .. }
            | InstData::MapAddr { .. }
            | InstData::CounterAddr { .. }
            | InstData::CallbackAddr { .. }
            | InstData::Comm
            | InstData::StringConst { .. }
            | InstData::SlotLoad { .. }
            | InstData::Return
            | InstData::Leave { .. } => {}
            InstData::Extend { arg: value, .. }
            | InstData::Element { tuple: value, .. }
            | InstData::Load { base: value, .. }
            | InstData::LoadBytes { base: value, .. }
            | InstData::ReadStr { addr: value, .. }
            | InstData::ReadInt { addr: value, .. }
            | InstData::SlotStore { value, .. }
            | InstData::StrLen { text: value }
            | InstData::FlushStage { arm: value } => $visit(value),
            InstData::PtrAdd { base: first, offset: second }
            | InstData::StrByte { text: first, index: second }
            | InstData::Store { value: first, base: second, .. }
            | InstData::FetchAdd { value: first, base: second, .. }
            | InstData::AtomicAdd { value: first, base: second, .. }
            | InstData::StoreBytes { value: first, base: second, .. } => {
                $visit(first);
                $visit(second);
            }
            InstData::Binary { args, .. }
            | InstData::Icmp { args, .. }
            | InstData::BytesEq { args, .. }
            | InstData::Contains { args } => {
                visit_each!(args, $visit);
            }
            InstData::Tuple { parts: values, .. }
            | InstData::Call { args: values, .. }
            | InstData::Output { fields: values, .. }
            | InstData::Jump { dest: BlockCall { args: values, .. } }
            | InstData::MapLoad { key: values, .. }
            | InstData::MapAggregated { key: values, .. }
            | InstData::MapHasKey { key: values, .. }
            | InstData::MapDelete { key: values, .. } => visit_each!(values, $visit),
            InstData::MapStore { key, value, .. }
            | InstData::MapFetchAdd { key, delta: value, .. }
            | InstData::MapAggregate { key, value, .. } => {
                visit_each!(key, $visit);
                $visit(value);
            }
            InstData::Brif { cond, then, otherwise } => {
                $visit(cond);
                let BlockCall { args, .. } = then;
                visit_each!(args, $visit);
                let BlockCall { args, .. } = otherwise;
                visit_each!(args, $visit);
            }
        }
    };
}

macro_rules! visit_each {
    ($values:expr, $visit:ident) => {
        for value in $values {
            $visit(value);
        }
    };
}

impl InstData {
    /// Calls `visit` with each operand, arguments of branches included.
    pub fn for_each_operand(&self, mut visit: impl FnMut(Value)) {
        let mut visit = |&value: &Value| visit(value);
        visit_operands!(self, visit);
    }

    /// Calls `visit` with each operand, arguments of branches included, to be replaced.
    pub fn for_each_operand_mut(&mut self, mut visit: impl FnMut(&mut Value)) {
        visit_operands!(self, visit);
    }

    /// The blocks it may go to, in order.
    pub fn successors(&self) -> impl Iterator<Item = &BlockCall> {
        let (first, second) = match self {
            Self::Jump { dest } => (Some(dest), None),
            Self::Brif { then, otherwise, .. } => (Some(then), Some(otherwise)),
            _ => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Whether it goes to the same blocks in the same order as `other`.
    pub fn leads_where(&self, other: &Self) -> bool {
        self.successors().map(|call| call.block).eq(other.successors().map(|call| call.block))
    }

    /// The blocks it may go to, in order, to be replaced.
    pub fn successors_mut(&mut self) -> impl Iterator<Item = &mut BlockCall> {
        let (first, second) = match self {
            Self::Jump { dest } => (Some(dest), None),
            Self::Brif { then, otherwise, .. } => (Some(then), Some(otherwise)),
            _ => (None, None),
        };
        first.into_iter().chain(second)
    }
}
