//! `printf`: C's flags, width and precision, on values that know their own width.

use pfscript_compiler::manifest::{Conversion, ConversionKind, Format, FormatPiece};

use crate::datum::{Datum, Integer};
use crate::output::context::Context;
use crate::output::text::{columns, push_byte, push_escaped, push_unsigned};

/// What becomes of characters in text from the kernel that are no plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// Shown escaped: for people and terminals.
    Escaped,
    /// Kept as they are: for a writer that escapes by its own rules.
    Raw,
}

/// Appends `values` formatted by `format`; a conversion without a value prints nothing.
pub fn push_printf<'a>(
    out: &mut Vec<u8>,
    format: &Format,
    mut values: impl Iterator<Item = Datum<'a>>,
    context: &mut Context,
    form: TextForm,
) {
    for piece in &format.pieces {
        match piece {
            FormatPiece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            FormatPiece::Conversion(conversion) => {
                if let Some(value) = values.next() {
                    push_conversion(out, conversion, &value, context, form);
                }
            }
        }
    }
}

fn push_conversion(
    out: &mut Vec<u8>,
    conversion: &Conversion,
    value: &Datum<'_>,
    context: &mut Context,
    form: TextForm,
) {
    let start = out.len();
    match (conversion.kind, value) {
        (ConversionKind::Char, Datum::Int(integer)) => push_ascii(out, integer.unsigned() as u8),
        (ConversionKind::Str, Datum::Int(integer)) => integer.push(out),
        (ConversionKind::Str | ConversionKind::Char, value) => push_string(out, conversion, value, context, form),
        (kind, Datum::Int(integer)) => return push_number(out, conversion, kind, *integer),
        (kind, Datum::Time(at)) => {
            return push_number(out, conversion, kind, Integer::from(context.clock.since_epoch(*at)));
        }
        (_, value) => push_string(out, conversion, value, context, form),
    }
    pad(out, start, conversion, b' ');
}

/// `%c`: what is neither printable nor a newline or tab is escaped.
fn push_ascii(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b' '..=b'~' | b'\n' | b'\t' => out.push(byte),
        _ => push_byte(out, byte),
    }
}

/// `%s`: the precision counts bytes of the text before it is escaped.
fn push_string(out: &mut Vec<u8>, conversion: &Conversion, value: &Datum<'_>, context: &mut Context, form: TextForm) {
    let most = conversion.precision.map_or(usize::MAX, |precision| precision as usize);
    match value {
        Datum::Text(text) if form == TextForm::Escaped => push_escaped(out, &text[..text.len().min(most)]),
        Datum::Text(text) => out.extend_from_slice(&text[..text.len().min(most)]),
        Datum::Literal(text) => out.extend_from_slice(&text.as_bytes()[..text.len().min(most)]),
        _ => value.push_plain(out, context),
    }
}

/// The numeric conversions: sign or prefix, then zeros, then digits, within the width.
fn push_number(out: &mut Vec<u8>, conversion: &Conversion, kind: ConversionKind, integer: Integer) {
    let digits = &mut Vec::with_capacity(24);
    let prefix = match kind {
        ConversionKind::Decimal => {
            push_unsigned(digits, integer.signed().unsigned_abs());
            sign(conversion, integer)
        }
        _ => {
            push_radix(digits, kind, integer.unsigned());
            radix_prefix(conversion, kind, integer.unsigned())
        }
    };
    if conversion.precision == Some(0) && digits == b"0" {
        digits.clear();
    }
    let start = out.len();
    out.extend_from_slice(prefix.as_bytes());
    let leading = leading_zeros(conversion, prefix.len(), digits.len());
    out.resize(out.len() + leading, b'0');
    out.extend_from_slice(digits);
    pad(out, start, conversion, b' ');
}

fn sign(conversion: &Conversion, integer: Integer) -> &'static str {
    match integer.signed() {
        ..0 => "-",
        _ if conversion.plus => "+",
        _ if conversion.space => " ",
        _ => "",
    }
}

fn push_radix(out: &mut Vec<u8>, kind: ConversionKind, value: u64) {
    let text = match kind {
        ConversionKind::HexLower | ConversionKind::Pointer => format!("{value:x}"),
        ConversionKind::HexUpper => format!("{value:X}"),
        ConversionKind::Octal => format!("{value:o}"),
        _ => return push_unsigned(out, value),
    };
    out.extend_from_slice(text.as_bytes());
}

fn radix_prefix(conversion: &Conversion, kind: ConversionKind, value: u64) -> &'static str {
    match kind {
        ConversionKind::Pointer => "0x",
        _ if !conversion.alternate || value == 0 => "",
        ConversionKind::HexLower => "0x",
        ConversionKind::HexUpper => "0X",
        ConversionKind::Octal => "0",
        _ => "",
    }
}

/// How many zeros stand before `digits`: the precision asks for some, else the `0` flag fills up.
fn leading_zeros(conversion: &Conversion, prefix: usize, digits: usize) -> usize {
    match (conversion.precision, conversion.width) {
        (Some(precision), _) => (precision as usize).saturating_sub(digits),
        (None, Some(width)) if conversion.zero && !conversion.left => (width as usize).saturating_sub(prefix + digits),
        _ => 0,
    }
}

/// Fills what was appended from `start` on up to the width.
fn pad(out: &mut Vec<u8>, start: usize, conversion: &Conversion, fill: u8) {
    let missing = (conversion.width.unwrap_or(0) as usize).saturating_sub(columns(&out[start..]));
    out.resize(out.len() + missing, fill);
    if !conversion.left {
        out[start..].rotate_right(missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `%-05.3d` and the like, for the tests' sake.
    fn conversion(text: &str) -> Conversion {
        let body = text.strip_prefix('%').expect("starts with %");
        let flags = body.trim_start_matches(['-', '+', ' ', '#', '0']);
        let has = |flag| body[..body.len() - flags.len()].contains(flag);
        let (numbers, kind) = flags.split_at(flags.len() - 1);
        let (width, precision) = numbers.split_once('.').map_or((numbers, None), |(w, p)| (w, Some(p)));
        Conversion {
            left: has('-'),
            plus: has('+'),
            space: has(' '),
            alternate: has('#'),
            zero: has('0'),
            width: width.parse().ok(),
            precision: precision.map(|p| p.parse().expect("digits")),
            kind: match kind {
                "d" => ConversionKind::Decimal,
                "u" => ConversionKind::Unsigned,
                "x" => ConversionKind::HexLower,
                "X" => ConversionKind::HexUpper,
                "o" => ConversionKind::Octal,
                "c" => ConversionKind::Char,
                "p" => ConversionKind::Pointer,
                _ => ConversionKind::Str,
            },
        }
    }

    fn print(format: &str, value: Datum<'_>) -> String {
        let format = Format {
            pieces: vec![
                FormatPiece::Literal("<".into()),
                FormatPiece::Conversion(conversion(format)),
                FormatPiece::Literal(">".into()),
            ],
        };
        let mut out = Vec::new();
        push_printf(&mut out, &format, std::iter::once(value), &mut Context::default(), TextForm::Escaped);
        String::from_utf8(out).expect("UTF-8")
    }

    fn int(value: i128) -> Datum<'static> {
        Datum::Int(Integer::from(value))
    }

    #[test]
    fn numbers_as_c_prints_them() {
        // Each expectation is what glibc's printf gives for the same conversion with `ll`.
        let cases = [
            ("%d", 5, "<5>"),
            ("%d", -5, "<-5>"),
            ("%5d", 5, "<    5>"),
            ("%-5d", 5, "<5    >"),
            ("%05d", -5, "<-0005>"),
            ("%-05d", 5, "<5    >"),
            ("%+d", 5, "<+5>"),
            ("% d", 5, "< 5>"),
            ("%.3d", 5, "<005>"),
            ("%6.3d", -5, "<  -005>"),
            ("%06.3d", 5, "<   005>"),
            ("%.0d", 0, "<>"),
            ("%x", 255, "<ff>"),
            ("%X", 255, "<FF>"),
            ("%#x", 255, "<0xff>"),
            ("%#x", 0, "<0>"),
            ("%#010x", 255, "<0x000000ff>"),
            ("%o", 8, "<10>"),
            ("%#o", 8, "<010>"),
            ("%u", -1, "<18446744073709551615>"),
            ("%x", -1, "<ffffffffffffffff>"),
            ("%d", i64::MIN as i128, "<-9223372036854775808>"),
            ("%p", 4096, "<0x1000>"),
            ("%10p", 4096, "<    0x1000>"),
            ("%c", 65, "<A>"),
            ("%3c", 65, "<  A>"),
            ("%c", 27, r"<\x1b>"),
        ];
        for (format, value, expected) in cases {
            assert_eq!(print(format, int(value)), expected, "{format} of {value}");
        }
    }

    #[test]
    fn a_narrow_value_keeps_its_width() {
        let narrow = Datum::Int(Integer::new(u64::MAX, 4, true));
        assert_eq!(print("%x", narrow), "<ffffffff>");
        assert_eq!(print("%u", narrow), "<4294967295>");
        assert_eq!(print("%d", narrow), "<-1>");
    }

    #[test]
    fn strings_have_width_and_precision() {
        assert_eq!(print("%s", Datum::Text(b"abc")), "<abc>");
        assert_eq!(print("%5s", Datum::Text(b"abc")), "<  abc>");
        assert_eq!(print("%-5s", Datum::Text(b"abc")), "<abc  >");
        assert_eq!(print("%.2s", Datum::Text(b"abc")), "<ab>");
        assert_eq!(print("%-4.1s", Datum::Literal("abc")), "<a   >");
        assert_eq!(print("%5s", Datum::Text("äö".as_bytes())), "<   äö>");
        assert_eq!(print("%s", int(-7)), "<-7>");
    }

    #[test]
    fn foreign_text_is_escaped_and_the_scripts_own_is_not() {
        assert_eq!(print("%s", Datum::Text(b"a\nb\x1b")), r"<a\nb\x1b>");
        assert_eq!(print("%s", Datum::Literal("a\nb")), "<a\nb>");
    }
}
