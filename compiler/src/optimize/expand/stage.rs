//! Both sides of a CPU's [`Stage`], where records are gathered in a burst: the programs that put
//! them there, and the one that sends them when the reader wants them.
//!
//! A program that interrupts another on the same CPU, or runs while another is preempted there,
//! finds the stage taken and does without.

use super::{Expander, Place, piece_at};
use crate::catalog::helpers::Helper;
use crate::ir::inst::MapAddrOf;
use crate::ir::{BinaryOp, Block, CmpOp, InstData, Type, Value, Values, values};
use crate::manifest::Stage;

impl Expander<'_> {
    /// Puts the `size` bytes of a finished record on the stage if it is armed and free, and goes
    /// on at `after`. The block that follows is for whoever has to send the record itself.
    pub(super) fn stage(&mut self, record: Place, size: u32, after: Block) {
        let direct = self.block_after();
        let stage = self.find_stage(direct);
        // Only whoever holds the stage can rely on what is said there.
        self.take_stage(stage, |this| this.jump(direct, Values::new()));
        let armed = self.load(8, stage, Stage::ARMED);
        let (is_armed, not_armed) = (self.block_after(), self.block_after());
        self.brif(armed, (is_armed, Values::new()), (not_armed, Values::new()));
        self.current = not_armed;
        self.release_stage(stage);
        self.jump(direct, Values::new());
        self.current = is_armed;
        let length = self.load(8, stage, Stage::LENGTH);
        let put = self.block_after();
        let end = self.func.append_param(put, Type::I64);
        let full = self.cold_block();
        self.branch_if_within(length, Stage::ROOM - size, (put, values![length]), full);
        self.current = full;
        let (send, not_sent) = (self.cold_block(), self.cold_block());
        self.branch_if_within(length, Stage::ROOM, (send, Values::new()), not_sent);
        self.current = send;
        let (failed, zero) = (self.send_staged(stage, length), self.iconst(0));
        self.brif(failed, (not_sent, Values::new()), (put, values![zero]));
        self.current = not_sent;
        self.release_stage(stage);
        self.jump(direct, Values::new());
        self.current = put;
        self.put_on_stage(record, size, stage, end);
        self.release_stage(stage);
        self.jump(after, Values::new());
        self.current = direct;
    }

    /// Sends what is staged, and arms or disarms the stage by `arm`. The function ends with 1 where
    /// that cannot be done now.
    pub(super) fn flush_stage(&mut self, arm: Value) {
        let nothing = self.block_after();
        let stage = self.find_stage(nothing);
        self.take_stage(stage, |this| this.effect(InstData::Leave { goes_on: false }));
        let length = self.load(8, stage, Stage::LENGTH);
        let (staged, send) = (self.block_after(), self.block_after());
        let (done, not_sent) = (self.block_after(), self.cold_block());
        self.brif(length, (staged, Values::new()), (done, Values::new()));
        self.current = staged;
        self.branch_if_within(length, Stage::ROOM, (send, Values::new()), done);
        self.current = send;
        let failed = self.send_staged(stage, length);
        self.brif(failed, (not_sent, Values::new()), (done, Values::new()));
        self.current = not_sent;
        self.release_stage(stage);
        self.effect(InstData::Leave { goes_on: false });
        self.current = done;
        let zero = self.iconst(0);
        self.store_at(stage, Stage::LENGTH, zero);
        self.store_at(stage, Stage::ARMED, arm);
        self.release_stage(stage);
        self.jump(nothing, Values::new());
        self.current = nothing;
    }

    /// This CPU's stage. Goes to `absent` where there is none, as the verifier believes possible.
    fn find_stage(&mut self, absent: Block) -> Value {
        let key = Place { slot: self.func.create_slot(8), offset: 0 };
        let zero = self.iconst(0);
        self.store(4, zero, key);
        let map = self.push(InstData::MapAddr { map: MapAddrOf::Stage }, Type::Ptr);
        let key = self.address(key);
        let stage = self.call(Helper::MapLookupElem, values![map, key], Type::Ptr);
        let found = self.block_after();
        self.branch_on_pointer(stage, (found, Values::new()), (absent, Values::new()));
        self.current = found;
        stage
    }

    /// Goes on when the stage was free, and otherwise to what `busy` ends the block with.
    fn take_stage(&mut self, stage: Value, busy: impl FnOnce(&mut Self)) {
        let one = self.iconst(1);
        let others = self.push(InstData::FetchAdd { value: one, base: stage, offset: Stage::TAKEN as i16 }, Type::I64);
        let (taken, free) = (self.cold_block(), self.block_after());
        self.brif(others, (taken, Values::new()), (free, Values::new()));
        self.current = taken;
        self.release_stage(stage);
        busy(self);
        self.current = free;
    }

    fn release_stage(&mut self, stage: Value) {
        let value = self.iconst(-1);
        self.effect(InstData::AtomicAdd { value, base: stage, offset: Stage::TAKEN as i16 });
    }

    /// Sends `length` staged bytes, which is within bounds; not zero when the buffer is full.
    fn send_staged(&mut self, stage: Value, length: Value) -> Value {
        let offset = self.iconst(Stage::RECORDS.into());
        let records = self.push(InstData::PtrAdd { base: stage, offset }, Type::Ptr);
        self.send(records, length)
    }

    fn put_on_stage(&mut self, record: Place, size: u32, stage: Value, end: Value) {
        let place = self.push(InstData::PtrAdd { base: stage, offset: end }, Type::Ptr);
        let base = self.address(Place { offset: 0, ..record });
        let mut done = 0;
        while done < size {
            let piece = piece_at(record.offset + done, size - done);
            let word = self.load(piece as u8, base, record.offset + done);
            let offset = (Stage::RECORDS + done) as i16;
            self.effect(InstData::Store { bytes: piece as u8, value: word, base: place, offset });
            done += piece;
        }
        let size = self.iconst(size.into());
        let length = self.push(InstData::Binary { op: BinaryOp::Add, args: [end, size] }, Type::I64);
        self.store_at(stage, Stage::LENGTH, length);
    }

    fn store_at(&mut self, base: Value, offset: u32, value: Value) {
        self.effect(InstData::Store { bytes: 8, value, base, offset: offset as i16 });
    }

    fn branch_if_within(&mut self, value: Value, most: u32, then: (Block, Values), otherwise: Block) {
        let most = self.iconst(most.into());
        let within = self.push(InstData::Icmp { op: CmpOp::Ule, args: [value, most] }, Type::I64);
        self.brif(within, then, (otherwise, Values::new()));
    }
}
