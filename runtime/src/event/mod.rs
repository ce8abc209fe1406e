//! The way of a record from the kernel to the session: out of the buffers of all CPUs, into one
//! order, with an account of what was lost.

pub mod horizon;
pub mod lost;
pub mod order;
pub mod poll;
pub mod ring;
pub mod sequence;
pub mod stage;

use pfscript_compiler::manifest::{Constant, DataType, FieldPlace};

/// A record in an arena of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened: CLOCK_MONOTONIC ns.
    pub timestamp: u64,
    /// Where it begins in the arena.
    pub offset: usize,
    /// Its bytes, padding included.
    pub len: u32,
    /// The CPU whose buffer it came through.
    pub cpu: u32,
}

/// Records as they came out of the buffers: bytes side by side, and where each begins. Kept and
/// reused, so that an event costs no allocation.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The records in them.
    pub entries: Vec<Entry>,
    /// How many bytes a record of each layout has.
    pub sizes: Vec<u32>,
}

/// The integer at `place` of a record; `None` when there is none.
pub fn integer_at(record: &[u8], place: &FieldPlace) -> Option<i128> {
    match place {
        FieldPlace::Timestamp => read_integer(record, 0, 8, false),
        FieldPlace::Constant(Constant::Int(value)) => Some(*value),
        FieldPlace::At { offset, ty: DataType::Int { bytes, signed } } => {
            read_integer(record, *offset as usize, *bytes as usize, *signed)
        }
        _ => None,
    }
}

/// The bytes at `place` of a record; `None` when there are none.
pub fn bytes_at<'a>(record: &'a [u8], place: &FieldPlace) -> Option<&'a [u8]> {
    let FieldPlace::At { offset, ty } = place else { return None };
    record.get(*offset as usize..(*offset + ty.size()) as usize)
}

/// The little-endian integer of up to 8 bytes at `offset`.
fn read_integer(record: &[u8], offset: usize, bytes: usize, signed: bool) -> Option<i128> {
    let mut eight = [0; 8];
    eight.get_mut(..bytes)?.copy_from_slice(record.get(offset..offset.checked_add(bytes)?)?);
    let value = u64::from_le_bytes(eight);
    let unused = 64 - 8 * bytes as u32;
    Some(if signed { i128::from((value << unused) as i64 >> unused) } else { i128::from(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_all_widths_are_read() {
        let record = [0xfe, 0xff, 0xff, 0xff, 1, 0, 0, 0];
        let at = |offset, bytes, signed| FieldPlace::At { offset, ty: DataType::Int { bytes, signed } };
        assert_eq!(integer_at(&record, &at(0, 4, true)), Some(-2));
        assert_eq!(integer_at(&record, &at(0, 4, false)), Some(0xffff_fffe));
        assert_eq!(integer_at(&record, &at(0, 8, true)), Some(0x1_ffff_fffe));
        assert_eq!(integer_at(&record, &at(1, 1, true)), Some(-1));
        assert_eq!(integer_at(&record, &at(4, 8, false)), None);
        assert_eq!(integer_at(&record, &FieldPlace::Constant(Constant::Int(7))), Some(7));
    }
}
