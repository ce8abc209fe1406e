//! `printf` formats: text to [`Format`], by C's grammar of conversion specifications.

use std::iter::Peekable;
use std::str::Chars;

use crate::manifest::{Conversion, ConversionKind, Format, FormatPiece};

/// Parses a format.
///
/// # Errors
/// What is wrong with it, for the user.
pub fn parse(text: &str) -> Result<Format, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('%', Some('%')) => {
                chars.next();
                literal.push('%');
            }
            ('%', _) => {
                if !literal.is_empty() {
                    pieces.push(FormatPiece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(FormatPiece::Conversion(conversion(&mut chars)?));
            }
            _ => literal.push(c),
        }
    }
    if !literal.is_empty() {
        pieces.push(FormatPiece::Literal(literal));
    }
    Ok(Format { pieces })
}

fn conversion(chars: &mut Peekable<Chars<'_>>) -> Result<Conversion, String> {
    let mut conversion = Conversion {
        left: false,
        plus: false,
        space: false,
        alternate: false,
        zero: false,
        width: None,
        precision: None,
        kind: ConversionKind::Decimal,
    };
    while let Some(flag) = chars.next_if(|c| "-+ #0".contains(*c)) {
        match flag {
            '-' => conversion.left = true,
            '+' => conversion.plus = true,
            ' ' => conversion.space = true,
            '#' => conversion.alternate = true,
            _ => conversion.zero = true,
        }
    }
    conversion.width = number(chars)?;
    if chars.next_if_eq(&'.').is_some() {
        conversion.precision = Some(number(chars)?.unwrap_or(0));
    }
    while chars.next_if(|c| "hljzt".contains(*c)).is_some() {}
    conversion.kind = kind(chars.next())?;
    Ok(conversion)
}

fn number(chars: &mut Peekable<Chars<'_>>) -> Result<Option<u32>, String> {
    let mut number = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        let value = number.unwrap_or(0) * 10 + digit;
        if value > 4096 {
            return Err("a width or precision is at most 4096".into());
        }
        number = Some(value);
    }
    Ok(number)
}

fn kind(letter: Option<char>) -> Result<ConversionKind, String> {
    Ok(match letter {
        Some('d' | 'i') => ConversionKind::Decimal,
        Some('u') => ConversionKind::Unsigned,
        Some('x') => ConversionKind::HexLower,
        Some('X') => ConversionKind::HexUpper,
        Some('o') => ConversionKind::Octal,
        Some('c') => ConversionKind::Char,
        Some('s') => ConversionKind::Str,
        Some('p') => ConversionKind::Pointer,
        Some('*') => return Err("a width of `*` is not supported: write the number".into()),
        Some(other) => {
            return Err(format!("`%{other}` is no conversion: there are %d %i %u %x %X %o %c %s %p, and %% for `%`"));
        }
        None => return Err("the format ends in the middle of a conversion; `%%` prints a `%`".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_width_and_precision() {
        let format = parse("a%%b%-08.3lld|%s").expect("a good format");
        let [FormatPiece::Literal(head), FormatPiece::Conversion(number), FormatPiece::Literal(bar), _] =
            format.pieces.as_slice()
        else {
            panic!("four pieces");
        };
        assert_eq!((head.as_str(), bar.as_str()), ("a%b", "|"));
        assert!(number.left && number.zero && !number.plus);
        assert_eq!((number.width, number.precision, number.kind), (Some(8), Some(3), ConversionKind::Decimal));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse("100%").is_err());
        assert!(parse("%y").is_err());
        assert!(parse("%99999d").is_err());
    }
}
