//! The value model: what a record's field or a map's key is, borrowed from the bytes it came in.

pub mod decode;

use std::cmp::Ordering;

use pfscript_compiler::manifest::{Member, StackShape};

/// A value on its way to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datum<'a> {
    /// An integer.
    Int(Integer),
    /// When the event happened: CLOCK_MONOTONIC in ns, shown as local wall-clock time.
    Time(u64),
    /// Text that came from the kernel: anything may be in it.
    Text(&'a [u8]),
    /// Text of the script itself: shown as it is.
    Literal(&'a str),
    /// A stack of the kernel by its number.
    KernelStack(i64, StackShape),
    /// A stack by its number, and the process that it is of.
    UserStack(i64, u32, StackShape),
    /// An address in the kernel.
    KernelSymbol(u64),
    /// An address in a process, and which.
    UserSymbol(u64, u32),
    /// A user.
    UserName(u32),
    /// A moment: CLOCK_BOOTTIME in ns, and the `strftime` format that shows it.
    Moment(u64, &'a str),
    /// Several values, with the bytes they stand in.
    Tuple(&'a [Member], &'a [u8]),
}

/// An integer that knows its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// Sign-extended when `signed`, else zero-extended.
    bits: u64,
    bytes: u8,
    signed: bool,
}

impl Integer {
    /// The low `bytes` bytes of `bits`.
    pub fn new(bits: u64, bytes: u8, signed: bool) -> Self {
        let spare = 64 - 8 * u32::from(bytes.clamp(1, 8));
        let bits = if signed { (((bits << spare) as i64) >> spare) as u64 } else { (bits << spare) >> spare };
        Self { bits, bytes, signed }
    }

    /// Whether it is shown as a signed number.
    pub fn is_signed(self) -> bool {
        self.signed
    }

    /// The value as a signed number of 64 bits.
    pub fn signed(self) -> i64 {
        self.bits as i64
    }

    /// The bits of its own width as an unsigned number: -1 of 4 bytes is `0xffffffff`.
    pub fn unsigned(self) -> u64 {
        Self::new(self.bits, self.bytes, false).bits
    }

    /// The value itself.
    pub fn value(self) -> i128 {
        if self.signed { self.signed().into() } else { self.bits.into() }
    }

    /// Divided by `divisor`, which is positive, truncated toward zero.
    #[must_use]
    pub fn divided_by(self, divisor: u64) -> Self {
        Self { bits: (self.value() / i128::from(divisor.max(1))) as u64, ..self }
    }
}

impl From<i128> for Integer {
    fn from(value: i128) -> Self {
        Self::new(value as u64, 8, value < 0)
    }
}

impl<'a> Datum<'a> {
    /// Its elements, of a tuple; itself, of all else.
    pub fn spread(self) -> Vec<Self> {
        match self {
            Self::Tuple(members, bytes) => {
                members.iter().flat_map(|member| decode::member(member, bytes).spread()).collect()
            }
            plain => vec![plain],
        }
    }

    /// The order in which maps are sorted: numbers by value, texts by their bytes, tuples by
    /// their first difference.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.value().cmp(&b.value()),
            (Self::Time(a), Self::Time(b)) | (Self::Moment(a, _), Self::Moment(b, _)) => a.cmp(b),
            (Self::KernelStack(a, _), Self::KernelStack(b, _)) => a.cmp(b),
            (Self::UserStack(a, of_a, _), Self::UserStack(b, of_b, _)) => (of_a, a).cmp(&(of_b, b)),
            (Self::KernelSymbol(a), Self::KernelSymbol(b)) => a.cmp(b),
            (Self::UserSymbol(a, of_a), Self::UserSymbol(b, of_b)) => (of_a, a).cmp(&(of_b, b)),
            (Self::Tuple(members, a), Self::Tuple(_, b)) => compare_members(members, a, b),
            _ => self.bytes().cmp(other.bytes()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(bytes) => bytes,
            Self::Literal(text) => text.as_bytes(),
            _ => &[],
        }
    }
}

/// Compares two tuples (or keys) of the same type by their bytes.
pub fn compare_members(members: &[Member], a: &[u8], b: &[u8]) -> Ordering {
    let mut orders = members.iter().map(|m| decode::member(m, a).compare(&decode::member(m, b)));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pfscript_compiler::manifest::DataType;

    #[test]
    fn integers_keep_their_width_and_sign() {
        let narrow = Integer::new(0xff, 1, true);
        assert_eq!((narrow.value(), narrow.unsigned()), (-1, 0xff));
        let wide = Integer::from(i128::from(u64::MAX));
        assert_eq!((wide.value(), wide.signed()), (u64::MAX.into(), -1));
        assert_eq!(Integer::from(-7).divided_by(2).value(), -3);
        assert_eq!(Integer::new(u64::MAX, 8, false).divided_by(2).value(), i128::from(u64::MAX / 2));
    }

    #[test]
    fn narrow_negative_keys_sort_before_positive_ones() {
        let members = [
            Member { offset: 0, ty: DataType::Int { bytes: 2, signed: true } },
            Member { offset: 2, ty: DataType::Str { len: 2 } },
        ];
        assert_eq!(compare_members(&members, &[0xff, 0xff, b'z', 0], &[1, 0, b'a', 0]), Ordering::Less);
        assert_eq!(compare_members(&members, &[1, 0, b'b', 0], &[1, 0, b'a', 0]), Ordering::Greater);
        assert_eq!(compare_members(&members, &[1, 0, b'a', 0], &[1, 0, b'a', 0]), Ordering::Equal);
    }
}
