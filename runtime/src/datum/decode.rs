//! Bytes of records and maps to [`Datum`], by the manifest's layouts.
//!
//! Nothing here allocates or panics: bytes that are missing read as zero, since the length of a
//! record is checked once, where it arrives.

use pfscript_compiler::manifest::{Constant, DataType, FieldPlace, Member, RecordHeader};

use crate::datum::{Datum, Integer};

/// The value of a field in `record` (header included).
pub fn field<'a>(place: &'a FieldPlace, record: &'a [u8]) -> Datum<'a> {
    match place {
        FieldPlace::Timestamp => Datum::Time(timestamp(record)),
        FieldPlace::At { offset, ty } => datum(ty, from(record, *offset)),
        FieldPlace::Constant(Constant::Int(value)) => Datum::Int(Integer::from(*value)),
        FieldPlace::Constant(Constant::Str(text)) => Datum::Literal(text),
    }
}

/// When the event of `record` happened: CLOCK_MONOTONIC in ns.
pub fn timestamp(record: &[u8]) -> u64 {
    unsigned(from(record, RecordHeader::TIMESTAMP), 8)
}

/// The value of type `ty` at the start of `bytes`.
pub fn datum<'a>(ty: &'a DataType, bytes: &'a [u8]) -> Datum<'a> {
    match ty {
        DataType::Int { bytes: width, signed } => Datum::Int(integer(bytes, *width, *signed)),
        DataType::Str { len } => Datum::Text(text(&bytes[..bytes.len().min(*len as usize)])),
        DataType::KernelStack(shape) => Datum::KernelStack(unsigned(bytes, 8) as i64, *shape),
        DataType::UserStack(shape) => {
            Datum::UserStack(unsigned(bytes, 8) as i64, unsigned(from(bytes, 8), 4) as u32, *shape)
        }
        DataType::KernelSymbol => Datum::KernelSymbol(unsigned(bytes, 8)),
        DataType::UserSymbol => Datum::UserSymbol(unsigned(bytes, 8), unsigned(from(bytes, 8), 4) as u32),
        DataType::UserName => Datum::UserName(unsigned(bytes, 4) as u32),
        DataType::Moment(format) => Datum::Moment(unsigned(bytes, 8), format),
        DataType::Tuple(members) => Datum::Tuple(members, bytes),
    }
}

/// The value of a tuple's or key's element, `bytes` being those of the whole.
pub fn member<'a>(member: &'a Member, bytes: &'a [u8]) -> Datum<'a> {
    datum(&member.ty, from(bytes, member.offset))
}

/// The integer of `width` bytes at the start of `bytes`.
pub fn integer(bytes: &[u8], width: u8, signed: bool) -> Integer {
    Integer::new(unsigned(bytes, width), width, signed)
}

/// A little-endian number of `width` bytes, at most 8.
fn unsigned(bytes: &[u8], width: u8) -> u64 {
    let mut word = [0; 8];
    let len = bytes.len().min(usize::from(width)).min(8);
    word[..len].copy_from_slice(&bytes[..len]);
    u64::from_le_bytes(word)
}

/// Up to the first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

fn from(bytes: &[u8], offset: u32) -> &[u8] {
    bytes.get(offset as usize..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pfscript_compiler::manifest::{StackNotation, StackShape};

    const SHAPE: StackShape = StackShape { depth: 5, notation: StackNotation::Raw };
    const RECORD: [u8; 24] = [
        1, 0, 0, 0, 0, 0, 0, 0x80, 7, 0, 0, 0, // timestamp, id
        0xfe, 0xff, 0xff, 0xff, // -2
        b'g', b'c', b'c', 0, b'x', 0, 0, 0,
    ];

    fn at(offset: u32, ty: DataType) -> FieldPlace {
        FieldPlace::At { offset, ty }
    }

    #[test]
    fn fields_are_read_where_the_layout_says() {
        assert_eq!(field(&FieldPlace::Timestamp, &RECORD), Datum::Time(0x8000_0000_0000_0001));
        let Datum::Int(n) = field(&at(12, DataType::Int { bytes: 4, signed: true }), &RECORD) else {
            panic!("not an integer")
        };
        assert_eq!((n.signed(), n.unsigned()), (-2, 0xffff_fffe));
    }

    #[test]
    fn stacks_know_their_process() {
        assert_eq!(field(&at(8, DataType::KernelStack(SHAPE)), &RECORD), Datum::KernelStack(-0x1_ffff_fff9, SHAPE));
        let bytes = [(-14_i64 as u64).to_le_bytes(), 7_u64.to_le_bytes()].concat();
        assert_eq!(datum(&DataType::UserStack(SHAPE), &bytes), Datum::UserStack(-14, 7, SHAPE));
    }

    #[test]
    fn strings_end_at_the_nul_or_at_their_length() {
        assert_eq!(field(&at(16, DataType::Str { len: 8 }), &RECORD), Datum::Text(b"gcc"));
        assert_eq!(field(&at(16, DataType::Str { len: 2 }), &RECORD), Datum::Text(b"gc"));
    }

    #[test]
    fn a_short_record_reads_as_zero() {
        assert_eq!(field(&at(40, DataType::Int { bytes: 8, signed: false }), &RECORD), Datum::Int(Integer::from(0)));
        assert_eq!(field(&at(40, DataType::Str { len: 8 }), &RECORD), Datum::Text(b""));
        assert_eq!(field(&FieldPlace::Timestamp, &[]), Datum::Time(0));
    }
}
