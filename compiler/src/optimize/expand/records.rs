//! Records: built in place, stamped with the time, sent; a record that is not taken is counted.

use super::Expander;
use crate::catalog::helpers::Helper;
use crate::ir::inst::MapAddrOf;
use crate::ir::{Inst, InstData, Type, Value, Values, values};
use crate::manifest::{CounterKind, FieldPlace, Member, RecordHeader, RecordLayout, Stage};

/// `BPF_F_CURRENT_CPU` of `include/uapi/linux/bpf.h`.
const CURRENT_CPU: i64 = 0xffff_ffff;

impl Expander<'_> {
    /// The time is read after everything else that the record holds, so that of two records with
    /// counts of one element the later count has, as a rule, the later time.
    pub(super) fn output(&mut self, inst: Inst, record: u32, fields: &[Value]) {
        let layout = self.tables.records[record as usize].clone();
        let buffer = self.buffer(inst, layout.size);
        self.fill(buffer, RecordHeader::SIZE, layout.size, &stored_fields(&layout), fields);
        let id = self.iconst(record.into());
        self.store(4, id, buffer.plus(RecordHeader::ID));
        let now = self.call(Helper::KtimeGetNs, Values::new(), Type::I64);
        self.store(8, now, buffer.plus(RecordHeader::TIMESTAMP));
        let after = self.block_after();
        if self.func.stageable > 0 && layout.size <= Stage::LARGEST_RECORD {
            self.func.stageable -= 1;
            self.stage(buffer, layout.size, after);
        }
        let (address, size) = (self.address(buffer), self.iconst(layout.size.into()));
        let failed = self.send(address, size);
        let lost = self.cold_block();
        self.brif(failed, (lost, Values::new()), (after, Values::new()));
        self.current = lost;
        self.count(CounterKind::RecordsLost);
        self.jump(after, Values::new());
        self.current = after;
    }

    /// Sends bytes through this CPU's perf buffer; not zero when it has no room for them.
    pub(super) fn send(&mut self, bytes: Value, size: Value) -> Value {
        let context = self.context();
        let events = self.push(InstData::MapAddr { map: MapAddrOf::Events }, Type::Ptr);
        let cpu = self.iconst(CURRENT_CPU);
        self.call(Helper::PerfEventOutput, values![context, events, cpu, bytes, size], Type::I64)
    }
}

/// The fields that have bytes in the record.
pub(super) fn stored_fields(layout: &RecordLayout) -> Vec<Member> {
    let stored = |place: &FieldPlace| match place {
        FieldPlace::At { offset, ty } => Some(Member { offset: *offset, ty: ty.clone() }),
        FieldPlace::Timestamp | FieldPlace::Constant(_) => None,
    };
    layout.fields.iter().filter_map(|field| stored(&field.place)).collect()
}
