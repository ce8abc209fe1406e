//! Expressions of a wanted kind, not deeper than wanted.

use super::generate::Generator;
use super::scope::{Kind, Value};

const LITERALS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "7",
    "8",
    "10",
    "63",
    "64",
    "100",
    "255",
    "1000",
    "4096",
    "65535",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "0x1f",
    "017",
    "1e6",
    "1_000",
    "5ms",
    "1s",
];
const INT_TYPES: &[&str] = &["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "bool"];
const ARITHMETIC: &[&str] = &["+", "-", "*", "&", "|", "^", "<<", ">>"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
const TEXTS: &[&str] =
    &["", "a", "sh", "a longer text", "sixteen letters!", "\\n\\t\\\"x\\\"", "a text of more than thirty-two bytes"];

impl Generator<'_> {
    /// An integer.
    pub fn int(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.percent(20) {
            return self.int_leaf();
        }
        match self.random.below(20) {
            0..6 => self.binary(ARITHMETIC, depth),
            6..8 => self.division(depth),
            8..11 => self.binary(COMPARISONS, depth),
            11 => self.binary(&["&&", "||"], depth),
            12 => format!("({} ? {} : {})", self.int(depth - 1), self.int(depth - 1), self.int(depth - 1)),
            13 | 14 => format!("{}({})", self.random.one_of(&["-", "!", "~"]), self.int(depth - 1)),
            15 => format!("({})({})", self.random.one_of(INT_TYPES), self.int(depth - 1)),
            16 if self.random.percent(40) => self.asking_of_text(depth),
            16 => self.text_comparison(depth),
            17 if self.random.percent(20) => format!("({}).0", self.pair(depth - 1)),
            17 => self.counting(depth),
            18 if self.random.percent(10) => self.pair_comparison(depth),
            18 => match self.random.percent(50) {
                true => self.asking_of_element(depth),
                false => self.aggregation_read(depth),
            },
            _ => self.map_read(Kind::Int, depth).unwrap_or_else(|| self.int_leaf()),
        }
    }

    fn binary(&mut self, operators: &[&str], depth: usize) -> String {
        format!("({} {} {})", self.int(depth - 1), self.random.one_of(operators), self.int(depth - 1))
    }

    /// The divisor is no constant zero, which the checker refuses.
    fn division(&mut self, depth: usize) -> String {
        let dividend = self.int(depth - 1);
        let divisor = match self.random.percent(50) {
            true => self.changing_leaf(),
            false => (self.random.pick(&LITERALS[1..])).to_owned(),
        };
        format!("({dividend} {} {divisor})", self.random.one_of(&["/", "%"]))
    }

    fn text_comparison(&mut self, depth: usize) -> String {
        if self.random.percent(30) {
            let most = 1 + self.random.below(40);
            return format!("strncmp({}, {}, {most})", self.text(depth - 1), self.text(depth - 1));
        }
        format!("({} {} {})", self.text(depth - 1), self.random.one_of(&["==", "!="]), self.text(depth - 1))
    }

    /// Its length, a byte of it, whether another is in it; frames of stacks, elements of arrays.
    fn asking_of_text(&mut self, depth: usize) -> String {
        match self.random.below(5) {
            0 => format!("len({})", self.text(depth - 1)),
            1 => format!("({})[{}]", self.text(depth - 1), self.changing_leaf()),
            2 if self.scope.has_stacks => format!("len({})", self.stack()),
            3 if !self.scope.arrays.is_empty() => {
                format!("{}[{}]", self.random.one_of(&self.scope.arrays).clone(), self.changing_leaf())
            }
            _ => format!("strcontains({}, {})", self.text(depth - 1), self.text(depth - 1)),
        }
    }

    /// `++` and `--` as values.
    fn counting(&mut self, depth: usize) -> String {
        let variables = self.scope.variables_of(Kind::Int);
        let place = match variables.is_empty() || self.random.percent(60) {
            true => match self.map_with(|value| value == Value::Data(Kind::Int)) {
                Some(index) => self.element(index, depth - 1),
                None => return self.int_leaf(),
            },
            false => self.random.one_of(&variables).clone(),
        };
        let operator = self.random.pick(&["++", "--"]);
        if self.random.percent(50) { format!("({operator}{place})") } else { format!("({place}{operator})") }
    }

    fn asking_of_element(&mut self, depth: usize) -> String {
        let index = self.random.below(self.maps.len());
        if !self.maps[index].keys.is_empty() && self.random.percent(25) {
            return format!("len(@{})", self.maps[index].name);
        }
        let ints = self.scope.variables_of(Kind::Int);
        if self.maps[index].keys.len() == 1 && self.maps[index].value == Value::Data(Kind::Int) && !ints.is_empty() {
            let kind = self.maps[index].keys[0];
            let (key, variable) = (self.value(kind, depth - 1), self.random.one_of(&ints).clone());
            return format!("find(@{}, {key}, {variable})", self.maps[index].name);
        }
        let element = self.element(index, depth - 1);
        format!("{}({element})", self.random.one_of(&["has_key", "delete"]))
    }

    /// What an aggregation came to so far.
    fn aggregation_read(&mut self, depth: usize) -> String {
        match self.map_with(Value::is_aggregated_number) {
            Some(index) => self.element(index, depth - 1),
            None => self.int_leaf(),
        }
    }

    fn int_leaf(&mut self) -> String {
        match self.random.below(10) {
            0..4 => (self.random.pick(LITERALS)).to_owned(),
            4 if !self.params.is_empty() => self.random.one_of(&self.params).clone(),
            5 => (self.random.pick(&["$#", "$1"])).to_owned(),
            _ => self.changing_leaf(),
        }
    }

    /// An integer that the compiler cannot know.
    fn changing_leaf(&mut self) -> String {
        let variables = self.scope.variables_of(Kind::Int);
        match self.random.below(6) {
            0..2 if !variables.is_empty() => self.random.one_of(&variables).clone(),
            2..5 if !self.scope.int_fields.is_empty() => self.random.one_of(&self.scope.int_fields).clone(),
            5 => self.map_read(Kind::Int, 0).unwrap_or_else(|| "pid".into()),
            _ => (self.random.pick(&self.scope.builtins)).to_owned(),
        }
    }

    /// A string.
    pub fn text(&mut self, depth: usize) -> String {
        let variables = self.scope.variables_of(Kind::Text);
        match self.random.below(10) {
            0 | 1 => format!("\"{}\"", self.random.one_of(TEXTS)),
            2 | 3 if !variables.is_empty() => self.random.one_of(&variables).clone(),
            4 | 5 if !self.scope.text_fields.is_empty() => self.random.one_of(&self.scope.text_fields).clone(),
            6 if depth > 0 => {
                let most = self.random.pick(&["", ", 3", ", 16"]);
                format!("{}({}{most})", self.random.one_of(&["str", "kstr"]), self.int(depth - 1))
            }
            7 => self.map_read(Kind::Text, depth.saturating_sub(1)).unwrap_or_else(|| "comm".into()),
            8 if depth > 0 => {
                format!("({} ? {} : {})", self.int(depth - 1), self.text(depth - 1), self.text(depth - 1))
            }
            9 if depth > 0 && self.random.percent(50) => format!("({}).1", self.pair(depth - 1)),
            9 => "probe".into(),
            _ => "comm".into(),
        }
    }

    fn pair_comparison(&mut self, depth: usize) -> String {
        format!("({} {} {})", self.pair(depth - 1), self.random.one_of(&["==", "!="]), self.pair(depth - 1))
    }

    /// A tuple of an integer and a string.
    fn pair(&mut self, depth: usize) -> String {
        let variables = self.scope.variables_of(Kind::Pair);
        let depth = depth.min(2);
        match self.random.below(6) {
            0 | 1 if !variables.is_empty() => self.random.one_of(&variables).clone(),
            2 => self.map_read(Kind::Pair, depth.saturating_sub(1)).unwrap_or_else(|| "(pid, comm)".into()),
            3 if depth > 0 => {
                format!("({} ? {} : {})", self.int(depth - 1), self.pair(depth - 1), self.pair(depth - 1))
            }
            _ => format!("({}, {})", self.int(depth), self.text(depth)),
        }
    }

    fn symbol(&mut self, depth: usize) -> String {
        let variables = self.scope.variables_of(Kind::Symbol);
        let depth = depth.min(2);
        match self.random.below(6) {
            0 | 1 if !variables.is_empty() => self.random.one_of(&variables).clone(),
            2 => self.map_read(Kind::Symbol, depth.saturating_sub(1)).unwrap_or_else(|| "usym(pid)".into()),
            3 if depth > 0 => {
                format!("({} ? {} : {})", self.int(depth - 1), self.symbol(depth - 1), self.symbol(depth - 1))
            }
            _ => format!("usym({})", self.int(depth)),
        }
    }

    /// A value of that kind.
    pub fn value(&mut self, kind: Kind, depth: usize) -> String {
        match kind {
            Kind::Int => self.int(depth),
            Kind::Text => self.text(depth),
            Kind::Pair => self.pair(depth),
            Kind::Symbol => self.symbol(depth),
        }
    }

    /// An element of a map that holds values of that kind, if there is one.
    fn map_read(&mut self, kind: Kind, depth: usize) -> Option<String> {
        let index = self.map_with(|value| value == Value::Data(kind))?;
        Some(self.element(index, depth))
    }

    /// A map that holds what is wanted.
    pub fn map_with(&mut self, is_wanted: impl Fn(Value) -> bool) -> Option<usize> {
        let fitting: Vec<usize> = (0..self.maps.len()).filter(|&index| is_wanted(self.maps[index].value)).collect();
        (!fitting.is_empty()).then(|| self.random.pick(&fitting))
    }

    /// `@m[key]` of the map of that index.
    pub fn element(&mut self, index: usize, depth: usize) -> String {
        let map = self.maps[index].clone();
        let keys: Vec<String> = map.keys.iter().map(|&kind| self.value(kind, depth)).collect();
        match keys.as_slice() {
            [] => format!("@{}", map.name),
            keys if keys.len() > 1 && self.random.percent(10) => format!("@{}[({})]", map.name, keys.join(", ")),
            keys => format!("@{}[{}]", map.name, keys.join(", ")),
        }
    }

    /// A declared type for an integer variable.
    pub fn int_type(&mut self) -> &'static str {
        self.random.pick(INT_TYPES)
    }
}
