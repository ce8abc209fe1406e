//! What is asked of a string: its length, one of its bytes, whether another is in it.

use super::{Expander, Place};
use crate::catalog::helpers::Helper;
use crate::ir::{BinaryOp, CmpOp, Inst, InstData, Type, Value, Values, values};

/// Bytes of a word.
const WORD: u32 = 8;

impl Expander<'_> {
    /// The kernel says how many bytes it copies, NUL included. The copy goes where nobody looks;
    /// with one byte more than the string has, of a string without NUL that is its end too.
    pub(super) fn str_len(&mut self, inst: Inst, text: Value) {
        let (place, len) = (self.place(text), self.len(text));
        let scratch = self.tables.bss.scratch(len + 1);
        let copy = self.push(InstData::CounterAddr { offset: scratch }, Type::Ptr);
        let (size, from) = (self.iconst((len + 1).into()), self.address(place));
        let copied = self.call(Helper::ProbeReadKernelStr, values![copy, size, from], Type::I64);
        let args = [copied, self.iconst(1)];
        self.become_here(inst, InstData::Binary { op: BinaryOp::Sub, args });
    }

    /// A byte of a string; 0 where it has none.
    pub(super) fn str_byte(&mut self, inst: Inst, text: Value, index: Value) {
        let (place, len) = (self.place(text), self.len(text));
        if let Some(&InstData::Iconst { imm }) = self.func.def(index)
            && (0..i64::from(len)).contains(&imm)
        {
            let at = place.plus(imm as u32);
            let base = self.address(Place { offset: 0, ..at });
            return self.become_here(inst, InstData::Load { bytes: 1, signed: true, base, offset: at.offset as i16 });
        }
        let (inside, after) = (self.block_after(), self.func.blocks.push(Default::default()));
        let byte = self.func.append_param(after, Type::I64);
        let (end, none) = (self.iconst(len.into()), self.iconst(0));
        let is_inside = self.push(InstData::Icmp { op: CmpOp::Ult, args: [index, end] }, Type::I64);
        self.brif(is_inside, (inside, Values::new()), (after, values![none]));
        self.current = inside;
        let base = self.address(place);
        let base = self.push(InstData::PtrAdd { base, offset: index }, Type::Ptr);
        let found = self.push(InstData::Load { bytes: 1, signed: true, base, offset: 0 }, Type::I64);
        self.jump(after, values![found]);
        self.func.layout.push(after);
        self.current = after;
        let result = self.result(inst);
        self.replacements.replace(result, byte);
    }

    /// Whether `part` is somewhere in `text`: from each byte on, as many words of the text as the
    /// part has are compared with it, in the bytes in front of its NUL.
    pub(super) fn contains(&mut self, inst: Inst, text: Value, part: Value) {
        let after = self.block_after();
        let is_in = self.func.append_param(after, Type::I64);
        self.func.layout.pop();
        let (pattern, shortest) = self.pattern(part);
        let words: Vec<Value> = (0..self.len(text).div_ceil(WORD)).map(|at| self.whole_word(text, at)).collect();
        for from in 0..(self.len(text) + 1).saturating_sub(shortest.max(1)) {
            let difference = self.difference(&words, from, &pattern);
            let zero = self.iconst(0);
            let is_here = self.push(InstData::Icmp { op: CmpOp::Eq, args: [difference, zero] }, Type::I64);
            let (one, next) = (self.iconst(1), self.block_after());
            self.brif(is_here, (after, values![one]), (next, Values::new()));
            self.current = next;
        }
        let zero = self.iconst(0);
        self.jump(after, values![zero]);
        self.func.layout.push(after);
        self.current = after;
        let result = self.result(inst);
        self.replacements.replace(result, is_in);
    }

    /// The words of a string to be found, each with the mask of its bytes in front of the NUL; and
    /// how many bytes it has at least.
    fn pattern(&mut self, part: Value) -> (Vec<[Value; 2]>, u32) {
        if let Some(InstData::StringConst { text }) = self.func.def(part) {
            let bytes = text.clone().into_bytes();
            let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
            let known = bytes.chunks(8).map(|chunk| [word(chunk), u64::MAX >> (64 - 8 * chunk.len())]);
            let known: Vec<[u64; 2]> = known.collect();
            return (known.iter().map(|pair| pair.map(|word| self.iconst(word as i64))).collect(), bytes.len() as u32);
        }
        let words = (0..self.len(part).div_ceil(WORD)).map(|at| {
            let word = self.whole_word(part, at);
            [word, self.mask(word)]
        });
        (words.collect(), 0)
    }

    /// All ones in the bytes that are not 0: each one's bits are gathered in its lowest, which
    /// times 255 is the whole byte.
    fn mask(&mut self, word: Value) -> Value {
        let mut bits = word;
        for (shift, kept) in [(4, 0x0f), (2, 0x03), (1, 0x01)] {
            let moved = self.with(BinaryOp::Lshr, bits, shift);
            let either = self.push(InstData::Binary { op: BinaryOp::Or, args: [bits, moved] }, Type::I64);
            bits = self.with(BinaryOp::And, either, i64::from_ne_bytes([kept; 8]));
        }
        self.with(BinaryOp::Mul, bits, 0xff)
    }

    /// 0 when the bytes of the text from number `from` on begin with the pattern.
    fn difference(&mut self, words: &[Value], from: u32, pattern: &[[Value; 2]]) -> Value {
        let mut sum = None;
        for (at, &[wanted, mask]) in pattern.iter().enumerate() {
            let window = self.window(words, from + at as u32 * WORD);
            let differs = self.push(InstData::Binary { op: BinaryOp::Xor, args: [window, wanted] }, Type::I64);
            let differs = self.push(InstData::Binary { op: BinaryOp::And, args: [differs, mask] }, Type::I64);
            sum = Some(match sum {
                None => differs,
                Some(sum) => self.push(InstData::Binary { op: BinaryOp::Or, args: [sum, differs] }, Type::I64),
            });
        }
        sum.unwrap_or_else(|| self.iconst(0))
    }

    /// The eight bytes from number `from` on, zeros behind the end.
    fn window(&mut self, words: &[Value], from: u32) -> Value {
        let (at, bits) = ((from / WORD) as usize, i64::from(from % WORD * 8));
        let low = words.get(at).copied();
        let high = words.get(at + 1).copied().filter(|_| bits > 0);
        let low = low.map(|word| if bits > 0 { self.with(BinaryOp::Lshr, word, bits) } else { word });
        let high = high.map(|word| self.with(BinaryOp::Shl, word, 64 - bits));
        match (low, high) {
            (Some(low), Some(high)) => self.push(InstData::Binary { op: BinaryOp::Or, args: [low, high] }, Type::I64),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => self.iconst(0),
        }
    }

    fn with(&mut self, op: BinaryOp, value: Value, number: i64) -> Value {
        let args = [value, self.iconst(number)];
        self.push(InstData::Binary { op, args }, Type::I64)
    }

    /// Eight bytes of a string, numbers `8 * at` on.
    fn whole_word(&mut self, text: Value, at: u32) -> Value {
        let words = self.len(text).div_ceil(WORD);
        self.word(text, at, words)
    }
}
