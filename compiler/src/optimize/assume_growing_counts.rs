//! A count that only ever grows is positive: the test for it goes.
//!
//! A map grows when all that the script does to it is to add positive constants below 2¹⁶, and to
//! delete. It takes 2⁴⁷ such additions to one element before it wraps: at a hundred million a
//! second that is sixteen days without a pause, and the count has lost its meaning long before.

use crate::ir::{CmpOp, Function, InstData, Tables};

/// Folds `count > 0` to 1.
pub fn assume_growing_counts(func: &mut Function, tables: &mut Tables) {
    for &block in &func.flow().reverse_post_order {
        for index in 0..func.blocks[block].insts.len() {
            let inst = func.blocks[block].insts[index];
            if let InstData::Icmp { op: CmpOp::Sgt | CmpOp::Ne, args: [value, zero] } = func.insts[inst].data
                && func.constant(zero) == Some(0)
                && tables.is_growing_count(func, value)
            {
                func.insts[inst].data = InstData::Iconst { imm: 1 };
            }
        }
    }
}
