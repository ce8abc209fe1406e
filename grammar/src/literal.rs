//! The values of literals: integers with their suffixes, strings with their escapes.

/// What is wrong with a literal: a range of its text, a message, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLiteral {
    /// The bytes of the literal it is about.
    pub at: std::ops::Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// The units of time and their nanoseconds, wherever a time is written; a unit stands before those
/// that it ends with.
pub const TIME_UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// C's suffixes, which change nothing: every integer has 64 bits.
const C_SUFFIXES: [&str; 6] = ["u", "l", "ul", "ll", "ull", "lu"];

/// The value of an integer literal: `10`, `0x1f`, `017`, `1_000`, `1e6`, `5ms`, `10ul`.
pub(crate) fn integer(text: &str) -> Result<u64, BadLiteral> {
    let (radix, skip) = radix(text);
    let digits = text[skip..].find(|c: char| c != '_' && !c.is_digit(radix.max(10))).map_or(text.len(), |n| n + skip);
    let value = digits_value(text, skip..digits, radix)?;
    match text[digits..].strip_prefix(['e', 'E']) {
        Some(exponent) if radix == 10 => scale(text, value, power_of_ten(text, exponent)?),
        _ => scale(text, value, Some(suffix(text, digits, radix)?)),
    }
}

/// The base of a literal, and how many bytes announce it.
fn radix(text: &str) -> (u32, usize) {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.get(1)) {
        (Some(b'0'), Some(b'x' | b'X')) => (16, 2),
        (Some(b'0'), Some(b'0'..=b'9' | b'_')) => (8, 1),
        _ => (10, 0),
    }
}

fn digits_value(text: &str, range: std::ops::Range<usize>, radix: u32) -> Result<u64, BadLiteral> {
    let mut value = Some(0_u64);
    let mut any = false;
    for (at, c) in text[range.clone()].char_indices().filter(|&(_, c)| c != '_') {
        let Some(digit) = c.to_digit(radix) else {
            let at = range.start + at;
            return Err(BadLiteral {
                at: at..at + 1,
                message: format!("`{c}` is not an octal digit"),
                help: format!(
                    "a leading 0 makes a number octal: write `{}` for the decimal number",
                    text.trim_start_matches('0')
                ),
            });
        };
        any = true;
        value = value.and_then(|value| value.checked_mul(u64::from(radix))?.checked_add(u64::from(digit)));
    }
    match value {
        Some(value) if any => Ok(value),
        None => Err(out_of_range(text)),
        _ => Err(BadLiteral {
            at: 0..text.len(),
            message: format!("`{text}` is not a number"),
            help: "write hexadecimal digits after `0x`, as in `0x1f`".into(),
        }),
    }
}

/// The power, or nothing when it is past the range of integers.
fn power_of_ten(text: &str, exponent: &str) -> Result<Option<u64>, BadLiteral> {
    let power = exponent.parse::<u32>().map_err(|_| BadLiteral {
        at: 0..text.len(),
        message: format!("`{text}` is not a number"),
        help: "write a power of ten as in `1e6`".into(),
    })?;
    Ok(10_u64.checked_pow(power))
}

fn suffix(text: &str, digits: usize, radix: u32) -> Result<u64, BadLiteral> {
    let suffix = &text[digits..];
    if suffix.is_empty() || C_SUFFIXES.contains(&suffix.to_ascii_lowercase().as_str()) {
        return Ok(1);
    }
    if let Some(&(_, factor)) = TIME_UNITS.iter().find(|&&(name, _)| name == suffix && radix != 16) {
        return Ok(factor);
    }
    Err(BadLiteral {
        at: digits..text.len(),
        message: format!("`{suffix}` is not a suffix of a number"),
        help: "the suffixes are the durations `ns us ms s m h d` and C's `u l ul ll ull`; \
               numbers are decimal, hexadecimal (`0x1f`), octal (`017`) or powers of ten (`1e6`)"
            .into(),
    })
}

fn scale(text: &str, value: u64, factor: Option<u64>) -> Result<u64, BadLiteral> {
    if value == 0 {
        return Ok(0);
    }
    factor.and_then(|factor| value.checked_mul(factor)).ok_or_else(|| out_of_range(text))
}

fn out_of_range(text: &str) -> BadLiteral {
    BadLiteral {
        at: 0..text.len(),
        message: format!("the integer `{text}` is too large"),
        help: format!("integers have 64 bits: the largest is {}", u64::MAX),
    }
}

/// The value of a string literal, given with its quotes.
pub(crate) fn string(quoted: &str) -> Result<String, BadLiteral> {
    let inside = 1..quoted.len() - 1;
    let mut bytes = Vec::with_capacity(inside.len());
    let mut at = inside.start;
    while at < inside.end {
        at = match quoted.as_bytes()[at] {
            b'\\' => escape(quoted, at, &mut bytes)?,
            byte => {
                bytes.push(byte);
                at + 1
            }
        };
    }
    String::from_utf8(bytes).map_err(|_| BadLiteral {
        at: 0..quoted.len(),
        message: "the escapes of this string do not make valid UTF-8".into(),
        help: "write the characters themselves, or the escapes of all bytes of each".into(),
    })
}

/// Resolves the escape whose backslash is at `at`; returns the offset behind it.
fn escape(quoted: &str, at: usize, bytes: &mut Vec<u8>) -> Result<usize, BadLiteral> {
    let simple = match quoted.as_bytes()[at + 1] {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'v' => 0x0b,
        b'e' => 0x1b,
        same @ (b'\\' | b'"' | b'\'') => same,
        b'x' => return numeric_escape(quoted, at, at + 2, 16, 2, bytes),
        b'0'..=b'7' => return numeric_escape(quoted, at, at + 1, 8, 3, bytes),
        _ => return Err(unknown_escape(quoted, at)),
    };
    bytes.push(simple);
    Ok(at + 2)
}

/// `\x1b` or `\033`: up to `most` digits from `from` on.
fn numeric_escape(
    quoted: &str,
    at: usize,
    from: usize,
    radix: u32,
    most: usize,
    bytes: &mut Vec<u8>,
) -> Result<usize, BadLiteral> {
    let digits = quoted[from..].bytes().take(most).take_while(|&byte| char::from(byte).is_digit(radix)).count();
    let end = from + digits;
    match u8::from_str_radix(&quoted[from..end], radix) {
        Ok(0) => Err(BadLiteral {
            at: at..end,
            message: "a string cannot hold a NUL byte".into(),
            help: "strings end at their first NUL in the kernel: leave it away".into(),
        }),
        Ok(byte) => {
            bytes.push(byte);
            Ok(end)
        }
        Err(_) => Err(unknown_escape(quoted, at)),
    }
}

fn unknown_escape(quoted: &str, at: usize) -> BadLiteral {
    let c = quoted[at + 1..].chars().next().unwrap_or('\\');
    BadLiteral {
        at: at..at + 1 + c.len_utf8(),
        message: format!("`\\{c}` is not an escape"),
        help: r#"the escapes are \n \t \r \a \b \f \v \e \\ \" \', \xHH (hexadecimal) and \NNN (octal); a backslash itself is \\"#.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_form() {
        let cases = [
            ("0", 0),
            ("42", 42),
            ("0x1f", 31),
            ("0XFF", 255),
            ("017", 15),
            ("1_000", 1000),
            ("0xff_ff", 0xffff),
            ("1e6", 1_000_000),
            ("5ms", 5_000_000),
            ("2us", 2_000),
            ("7ns", 7),
            ("1s", 1_000_000_000),
            ("1m", 60_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1d", 86_400_000_000_000),
            ("10ul", 10),
            ("10ULL", 10),
            ("18446744073709551615", u64::MAX),
            ("0xffffffffffffffff", u64::MAX),
            ("0e999", 0),
        ];
        for (text, value) in cases {
            assert_eq!(integer(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn integers_that_are_none() {
        for text in ["18446744073709551616", "1e20", "300000000h", "0x10000000000000000"] {
            assert!(integer(text).is_err_and(|bad| bad.message.contains("too large")), "{text}");
        }
        for text in ["0x", "0x_", "1e", "1ex", "5mz", "0b11", "089", "1__k", "0xfg", "0x1ms"] {
            assert!(integer(text).is_err(), "{text}");
        }
        assert_eq!(integer("089").map_err(|bad| bad.at), Err(1..2));
    }

    #[test]
    fn strings_with_escapes() {
        assert_eq!(string(r#""a\tb\n\"\\\x41\101é""#), Ok("a\tb\n\"\\AAé".into()));
        assert_eq!(string(r#""\xc3\xa9""#), Ok("é".into()));
        assert_eq!(string(r#""\1012""#), Ok("A2".into()));
    }

    #[test]
    fn escapes_that_are_none() {
        for text in [r#""\q""#, r#""\x""#, r#""\xg""#, r#""\400""#, r#""\0""#, r#""\xff""#, r#""\é""#] {
            assert!(string(text).is_err(), "{text}");
        }
    }
}
