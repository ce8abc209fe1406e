//! The smallest pieces of text output: decimal numbers without allocation, and text from other
//! processes made harmless.
//!
//! A process chooses its own name, so a name may hold newlines that fake a line of output, escape
//! sequences that drive the terminal, or bytes that are no text. [`push_escaped`] shows all of
//! those as what they are.

/// Appends `value` in decimal.
pub fn push_unsigned(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `value` in decimal, with a minus sign when it is negative.
pub fn push_signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_unsigned(out, value.unsigned_abs());
}

/// Appends `text` with everything that is not plain text escaped: `\n`, `\x1b`, `\u{202e}`.
pub fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_char(out, c));
        chunk.invalid().iter().for_each(|&byte| push_byte(out, byte));
    }
}

fn push_char(out: &mut Vec<u8>, c: char) {
    match c {
        '\n' => out.extend_from_slice(b"\\n"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\0'..='\x1f' | '\x7f' => push_byte(out, c as u8),
        _ if c.is_control() || is_layout(c) => out.extend_from_slice(c.escape_unicode().to_string().as_bytes()),
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Characters that print nothing themselves but change how their neighbours are laid out: line
/// and paragraph separators, marks and overrides of direction, the byte order mark.
fn is_layout(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Appends `\xNN`.
pub fn push_byte(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// The columns that `text` takes, each character counted as one.
pub fn columns(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        push_escaped(&mut out, text);
        String::from_utf8(out).expect("escaped text is UTF-8")
    }

    #[test]
    fn numbers_to_the_ends_of_their_ranges() {
        let mut out = Vec::new();
        push_unsigned(&mut out, 0);
        out.push(b' ');
        push_unsigned(&mut out, u64::MAX);
        out.push(b' ');
        push_signed(&mut out, i64::MIN);
        assert_eq!(out, b"0 18446744073709551615 -9223372036854775808");
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(escaped(b"gcc -O2 \\x"), "gcc -O2 \\x");
        assert_eq!(escaped("größe 日本".as_bytes()), "größe 日本");
    }

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        assert_eq!(escaped(b"a\nb\tc\rd"), r"a\nb\tc\rd");
        assert_eq!(escaped(b"\x1b[2J\x7f\x00"), r"\x1b[2J\x7f\x00");
        assert_eq!(escaped("\u{9b}2J\u{202e}x\u{2028}".as_bytes()), r"\u{9b}2J\u{202e}x\u{2028}");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown() {
        assert_eq!(escaped(b"a\xffb\xc3"), r"a\xffb\xc3");
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(columns("größe".as_bytes()), 5);
    }
}
