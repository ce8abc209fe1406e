//! Script parameters as the command line sees them: names, types, ranges, and values parsed from text.

use std::fmt;

use pfscript_grammar::TIME_UNITS;

/// A parameter that a script declares (`param` or `getopt()`), ready for `--name VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// The name as declared, for example `log_step`.
    pub name: String,
    /// Its type.
    pub ty: ParamType,
    /// The value when none is given; absent when one is required.
    pub default: Option<ParamValue>,
    /// What it is for; may be empty.
    pub help: String,
}

/// The type and range of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamType {
    /// An integer.
    Int {
        /// The type's name in the language, for example `uint64`.
        name: &'static str,
        /// Smallest allowed value (declared, or the type's own).
        low: i128,
        /// Largest allowed value (declared, or the type's own).
        high: i128,
        /// Whether the script declares a range of its own.
        ranged: bool,
    },
    /// `bool`: `true`, `false`, `1`, `0`; a bare `--name` is `true`.
    Bool,
    /// A string.
    Str,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamValue {
    /// An integer, within its type's range; a `bool` is 0 or 1.
    Int(i128),
    /// A string.
    Str(String),
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Str(text) => f.write_str(text),
        }
    }
}

impl ParamSpec {
    /// The value that `text` (what stands after `--name`) gives this parameter.
    ///
    /// Numbers are written as in the language: `50`, `0x32`, `062`, `1_000`, `1e6`, and durations
    /// such as `5ms`, which are nanoseconds.
    ///
    /// # Errors
    /// What is wrong with `text`, and what would be right.
    pub fn parse(&self, text: &str) -> Result<ParamValue, String> {
        match &self.ty {
            ParamType::Int { .. } => self.parse_int(text),
            ParamType::Bool => parse_bool(text),
            ParamType::Str => Ok(ParamValue::Str(text.to_owned())),
        }
    }

    fn parse_int(&self, text: &str) -> Result<ParamValue, String> {
        let ParamType::Int { low, high, .. } = self.ty else { unreachable!("only called for integers") };
        let wanted = self.ty.describe();
        match parse_number(text) {
            Number::Is(value) if (low..=high).contains(&value) => Ok(ParamValue::Int(value)),
            Number::Is(value) if value < 0 && low >= 0 => Err(format!("negative, but it must be {wanted}")),
            Number::Is(_) => Err(format!("out of range, it must be {wanted}")),
            Number::TooLarge => Err(format!("too large, it must be {wanted}")),
            Number::Not => Err(format!("not a number, it must be {wanted}")),
        }
    }
}

impl ParamType {
    /// The type's name in the language.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Int { name, .. } => name,
            Self::Bool => "bool",
            Self::Str => "string",
        }
    }

    /// The declared range as the language writes it (`1..`, `..=9`, `1..=9`); absent when the
    /// script declares none.
    pub fn range(&self) -> Option<String> {
        let Self::Int { name, low, high, ranged: true } = self else { return None };
        let (type_low, type_high) = limits(name);
        Some(match (*low > type_low, *high < type_high) {
            (true, false) => format!("{low}.."),
            (false, true) if type_low < 0 => format!("..={high}"),
            _ => format!("{low}..={high}"),
        })
    }

    /// What a value must be, for example `a uint64 of 1 or more`.
    fn describe(&self) -> String {
        let Self::Int { name, low, high, .. } = self else { return format!("a {}", self.name()) };
        let article = if name.starts_with('i') { "an" } else { "a" };
        let (type_low, type_high) = limits(name);
        match (*low > type_low, *high < type_high) {
            (true, false) => format!("{article} {name} of {low} or more"),
            (false, true) if type_low < 0 => format!("{article} {name} of {high} or less"),
            _ => format!("{article} {name} from {low} to {high}"),
        }
    }
}

/// The smallest and largest value of the integer type called `name` (`uint8`, `int64`, ...).
fn limits(name: &str) -> (i128, i128) {
    let signed = name.starts_with('i');
    let bits: u32 = name.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().unwrap_or(64);
    if signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

fn parse_bool(text: &str) -> Result<ParamValue, String> {
    match text {
        "true" | "1" => Ok(ParamValue::Int(1)),
        "false" | "0" => Ok(ParamValue::Int(0)),
        _ => Err("not a bool, it must be true or false".to_owned()),
    }
}

/// What a text is as a number.
#[derive(Debug, PartialEq, Eq)]
enum Number {
    Is(i128),
    TooLarge,
    Not,
}

fn parse_number(text: &str) -> Number {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    match parse_magnitude(magnitude) {
        Some(Some(value)) => {
            i128::try_from(value).map_or(Number::TooLarge, |v| Number::Is(if negative { -v } else { v }))
        }
        Some(None) => Number::TooLarge,
        None => Number::Not,
    }
}

/// `None` when `text` is no number, `Some(None)` when it is one that is too large to hold.
fn parse_magnitude(text: &str) -> Option<Option<u128>> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return digits(hex, 16);
    }
    if let Some((number, factor)) = TIME_UNITS.iter().find_map(|&(unit, ns)| Some((text.strip_suffix(unit)?, ns))) {
        return Some(digits(number, 10)?.and_then(|value| value.checked_mul(factor.into())));
    }
    if let Some((number, exponent)) = text.split_once(['e', 'E']) {
        let exponent = digits(exponent, 10)?.and_then(|e| u32::try_from(e).ok());
        let power = exponent.and_then(|e| 10u128.checked_pow(e));
        return Some(digits(number, 10)?.and_then(|value| value.checked_mul(power?)));
    }
    let octal = text.len() > 1 && text.starts_with('0');
    digits(text, if octal { 8 } else { 10 })
}

/// Digits of `radix`, single underscores between them; results as of [`parse_magnitude`].
fn digits(text: &str, radix: u32) -> Option<Option<u128>> {
    if text.is_empty() || text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    let mut value = Some(0u128);
    for c in text.chars().filter(|&c| c != '_') {
        let digit = u128::from(c.to_digit(radix)?);
        value = value.and_then(|v| v.checked_mul(radix.into())?.checked_add(digit));
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(name: &'static str, low: i128, high: i128) -> ParamSpec {
        let ranged = (low, high) != limits(name);
        ParamSpec {
            name: "n".into(),
            ty: ParamType::Int { name, low, high, ranged },
            default: None,
            help: String::new(),
        }
    }

    fn log_step() -> ParamSpec {
        int("uint64", 1, u64::MAX.into())
    }

    #[test]
    fn numbers_are_written_as_in_the_language() {
        let cases = [
            ("70", 70),
            ("+70", 70),
            ("0x46", 70),
            ("0106", 70),
            ("1_000", 1000),
            ("1e6", 1_000_000),
            ("2E3", 2000),
            ("5ms", 5_000_000),
            ("1m", 60_000_000_000),
            ("7ns", 7),
            ("18446744073709551615", u64::MAX.into()),
        ];
        for (text, value) in cases {
            assert_eq!(log_step().parse(text), Ok(ParamValue::Int(value)), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "abc", "-", "1.5", "0x", "1__0", "_1", "1_", "1e", "e6", "ms", "08", "5 ", "5mss", "--5", "٣"]
        {
            let error = log_step().parse(text).unwrap_err();
            assert_eq!(error, "not a number, it must be a uint64 of 1 or more", "{text}");
        }
    }

    #[test]
    fn errors_show_the_range() {
        fn error(spec: ParamSpec, text: &str) -> String {
            spec.parse(text).unwrap_err()
        }
        assert_eq!(error(log_step(), "0"), "out of range, it must be a uint64 of 1 or more");
        assert_eq!(error(log_step(), "-5"), "negative, but it must be a uint64 of 1 or more");
        assert_eq!(error(log_step(), "99999999999999999999"), "out of range, it must be a uint64 of 1 or more");
        assert_eq!(error(log_step(), &"9".repeat(60)), "too large, it must be a uint64 of 1 or more");
        assert_eq!(error(log_step(), "1e999999999999"), "too large, it must be a uint64 of 1 or more");
        assert_eq!(error(int("uint8", 0, 255), "256"), "out of range, it must be a uint8 from 0 to 255");
        assert_eq!(error(int("int8", -128, 9), "10"), "out of range, it must be an int8 of 9 or less");
    }

    #[test]
    fn signed_types_take_negative_numbers() {
        assert_eq!(int("int8", -128, 127).parse("-128"), Ok(ParamValue::Int(-128)));
        assert!(int("int8", -128, 127).parse("-129").is_err());
    }

    #[test]
    fn bools_and_strings() {
        let spec = |ty| ParamSpec { ty, ..log_step() };
        assert_eq!(spec(ParamType::Bool).parse("true"), Ok(ParamValue::Int(1)));
        assert_eq!(spec(ParamType::Bool).parse("0"), Ok(ParamValue::Int(0)));
        assert_eq!(spec(ParamType::Bool).parse("yes"), Err("not a bool, it must be true or false".into()));
        assert_eq!(spec(ParamType::Str).parse("a b"), Ok(ParamValue::Str("a b".into())));
    }

    #[test]
    fn ranges_read_as_they_are_written() {
        assert_eq!(log_step().ty.range().as_deref(), Some("1.."));
        assert_eq!(int("uint8", 0, 9).ty.range().as_deref(), Some("0..=9"));
        assert_eq!(int("int8", -128, 9).ty.range().as_deref(), Some("..=9"));
        assert_eq!(int("uint64", 0, u64::MAX.into()).ty.range(), None);
    }
}
