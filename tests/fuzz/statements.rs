//! Statements and blocks.

use super::generate::{Generator, TEXT_BYTES};
use super::scope::{Kind, Map, Value};

/// How deep the expressions of a statement are.
const DEPTH: usize = 3;
/// How deep blocks stand in blocks.
const NESTING: usize = 4;
const COMPOUND: &[&str] = &["+", "-", "*", "&", "|", "^", "<<", ">>"];

impl Generator<'_> {
    /// A block with some of the statements that are left.
    pub fn block(&mut self, nesting: usize) -> String {
        let outer = self.scope.variables.len();
        let mut text = String::from("{");
        let most = 1 + self.random.below(8);
        for _ in 0..most {
            if self.statements_left == 0 {
                break;
            }
            self.statements_left -= 1;
            text = text + " " + &self.statement(nesting);
        }
        self.scope.variables.truncate(outer);
        text + " }"
    }

    fn statement(&mut self, nesting: usize) -> String {
        if nesting < NESTING && self.random.percent(25) {
            return self.nested(nesting + 1);
        }
        let plain = match self.random.below(20) {
            0 if self.random.percent(30) => self.kept_variable(),
            0..3 => self.variable(),
            3 => self.declaration(),
            4..9 => self.map_statement(),
            9..11 => self.emit(),
            11..13 => self.printf(),
            13 => self.whole_map(),
            14 if self.random.percent(50) => self.retire().unwrap_or_else(|| self.map_statement()),
            14 => format!("delete({})", self.any_element()),
            15 if self.random.percent(30) => self.complaint(),
            15 => self.int(DEPTH),
            16 if self.random.percent(20) => self.exit(),
            17 if self.random.percent(20) => "return".into(),
            18 if self.scope.loops > 0 => (self.random.pick(&["break", "continue"])).to_owned(),
            _ => self.map_statement(),
        };
        plain + ";"
    }

    fn nested(&mut self, nesting: usize) -> String {
        match self.random.below(10) {
            0..4 => self.if_else(nesting),
            4..6 => format!("every {} of {} {}", self.step(), self.int(DEPTH), self.block(nesting)),
            6 | 7 if self.scope.loops < 2 => self.for_range(nesting),
            9 if self.scope.loops < 2 => self.for_map(nesting).unwrap_or_else(|| self.block(nesting)),
            8 if self.scope.loops < 2 => format!("unroll ({}) {}", 1 + self.random.below(4), self.block(nesting)),
            _ => self.block(nesting),
        }
    }

    fn if_else(&mut self, nesting: usize) -> String {
        let mut text = format!("if ({}) {}", self.int(DEPTH), self.block(nesting));
        while self.random.percent(25) {
            text = format!("{text} else if ({}) {}", self.int(DEPTH), self.block(nesting));
        }
        match self.random.percent(40) {
            true => format!("{text} else {}", self.block(nesting)),
            false => text,
        }
    }

    /// The N of `every`: a constant of 1 or more.
    fn step(&mut self) -> String {
        match self.random.percent(30) && !self.params.is_empty() {
            true => self.random.one_of(&self.params).clone(),
            false => (self.random.pick(&["1", "2", "3", "7", "50", "64", "1000003", "9223372036854775807"])).into(),
        }
    }

    fn for_range(&mut self, nesting: usize) -> String {
        let name = self.fresh("i");
        let (low, few) = (self.random.below(5), self.random.below(9));
        let rounds = if self.random.percent(10) { *self.random.one_of(&[50, 300, 1000]) } else { few };
        self.scope.variables.push((name.clone(), Kind::Int));
        self.scope.loops += 1;
        let body = self.block(nesting);
        self.scope.loops -= 1;
        self.scope.variables.pop();
        format!("for (${name} : {low}..{}) {body}", low + rounds)
    }

    /// A loop over a map, if there is one to go through.
    fn for_map(&mut self, nesting: usize) -> Option<String> {
        let is_readable = |value: Value| matches!(value, Value::Data(_)) || value.is_aggregated_number();
        let has_elements = |map: &Map| is_readable(map.value) && !map.keys.is_empty();
        let fitting: Vec<Map> = self.maps.iter().filter(|map| has_elements(map)).cloned().collect();
        let map = fitting.get(self.random.below(fitting.len().max(1)))?.clone();
        let name = self.fresh("kv");
        let (ints, texts) = (self.scope.int_fields.len(), self.scope.text_fields.len());
        self.parts_of_element(&name, &map);
        self.scope.loops += 1;
        let body = self.block(nesting);
        self.scope.loops -= 1;
        self.scope.int_fields.truncate(ints);
        self.scope.text_fields.truncate(texts);
        Some(format!("for (${name} : @{}) {body}", map.name))
    }

    fn parts_of_element(&mut self, name: &str, map: &Map) {
        // In a key a pair stands for its two parts.
        let keys = map.keys.iter().flat_map(|&kind| match kind {
            Kind::Pair => vec![Kind::Int, Kind::Text],
            kind => vec![kind],
        });
        let keys: Vec<Kind> = keys.collect();
        for (index, kind) in keys.iter().enumerate() {
            let part = if keys.len() == 1 { format!("${name}.0") } else { format!("${name}.0.{index}") };
            self.part_of_element(part, *kind);
        }
        let kind = if let Value::Data(kind) = map.value { kind } else { Kind::Int };
        self.part_of_element(format!("${name}.1"), kind);
    }

    fn part_of_element(&mut self, part: String, kind: Kind) {
        match kind {
            Kind::Int => self.scope.int_fields.push(part),
            Kind::Text => self.scope.text_fields.push(part),
            Kind::Symbol => {}
            Kind::Pair => {
                self.scope.int_fields.push(format!("{part}.0"));
                self.scope.text_fields.push(format!("{part}.1"));
            }
        }
    }

    /// Assigned once: another tuple might have a longer string.
    fn kept_variable(&mut self) -> String {
        let name = self.fresh("v");
        if self.scope.has_stacks && self.random.percent(30) {
            return format!("${name} = {0}; printf(\"%s\\n\", ${name})", self.stack());
        }
        let kind = self.random.pick(&[Kind::Pair, Kind::Symbol]);
        let value = self.value(kind, 2);
        self.scope.variables.push((name.clone(), kind));
        format!("${name} = {value}")
    }

    /// A stack of some shape.
    pub fn stack(&mut self) -> String {
        let stack = self.random.pick(&["kstack", "ustack"]);
        let shape = self.random.pick(&["", "", "(3)", "(perf)", "(raw, 127)"]);
        format!("{stack}{shape}")
    }

    /// A first or another assignment to a variable.
    fn variable(&mut self) -> String {
        let known = self.scope.variables_of(Kind::Int);
        if known.is_empty() || self.random.percent(40) {
            let value = self.int(DEPTH);
            let name = self.fresh("v");
            self.scope.variables.push((name.clone(), Kind::Int));
            return format!("${name} = {value}");
        }
        let name = self.random.one_of(&known).clone();
        match self.random.below(4) {
            0 => format!("{name}{}", self.random.one_of(&["++", "--"])),
            1 | 2 => format!("{name} {}= {}", self.random.one_of(COMPOUND), self.int(DEPTH)),
            _ => format!("{name} = {}", self.int(DEPTH)),
        }
    }

    fn declaration(&mut self) -> String {
        let (kind, ty) = match self.random.below(10) {
            0..6 => (Kind::Int, self.int_type().to_owned()),
            6 => (Kind::Pair, format!("({}, string[{TEXT_BYTES}])", self.int_type())),
            _ => (Kind::Text, format!("string[{TEXT_BYTES}]")),
        };
        let value = self.value(kind, DEPTH);
        let name = self.fresh("v");
        self.scope.variables.push((name.clone(), kind));
        if self.random.percent(15) { format!("let ${name}: {ty}") } else { format!("let ${name}: {ty} = {value}") }
    }

    fn map_statement(&mut self) -> String {
        let index = self.random.below(self.maps.len());
        self.write_map(index, DEPTH)
    }

    /// Some write to a map, of whatever it holds.
    pub fn write_map(&mut self, index: usize, depth: usize) -> String {
        let element = self.element(index, depth.min(2));
        match self.maps[index].value {
            Value::Aggregate(function) => format!("{element} = {}", self.aggregation(function, depth)),
            Value::Data(kind @ (Kind::Text | Kind::Pair | Kind::Symbol)) => {
                format!("{element} = {}", self.value(kind, depth))
            }
            Value::Data(Kind::Int) => match self.random.below(6) {
                0 | 1 => format!("{element}{}", self.random.one_of(&["++", "--"])),
                2 => format!("{element} {}= {}", self.random.one_of(COMPOUND), self.int(depth)),
                _ => format!("{element} = {}", self.int(depth)),
            },
        }
    }

    /// All uses of a map must agree on the sign.
    fn aggregation(&mut self, function: &str, depth: usize) -> String {
        match function {
            "count" => "count()".into(),
            "lhist" => format!("lhist({}, 0, 100, 10)", self.int(depth)),
            _ => format!("{function}((int64)({}))", self.int(depth)),
        }
    }

    fn complaint(&mut self) -> String {
        match self.random.below(3) {
            0 => format!("assert({}, \"wrong\")", self.int(2)),
            1 => format!("errorf(\"%d %s\", {}, {})", self.int(2), self.text(2)),
            _ => format!("warnf(\"%d\", {})", self.int(2)),
        }
    }

    fn emit(&mut self) -> String {
        let mut fields: Vec<String> = (0..1 + self.random.below(4)).map(|place| self.shown(place)).collect();
        if self.random.percent(30) {
            fields.push("time".into());
        }
        format!("emit({})", fields.join(", "))
    }

    fn shown(&mut self, place: usize) -> String {
        let value = match self.random.below(10) {
            0 if self.scope.has_stacks => self.stack(),
            1..4 => self.text(DEPTH),
            4 => self.value(Kind::Symbol, 1),
            6 if self.random.percent(30) => "username".to_owned(),
            5 => self.value(Kind::Pair, 2),
            _ => self.int(DEPTH),
        };
        format!("f{place} = {value}")
    }

    fn printf(&mut self) -> String {
        let mut format = String::new();
        let mut arguments = String::new();
        for _ in 0..self.random.below(4) {
            let is_text = self.random.percent(30);
            let conversion = match is_text {
                true => self.random.pick(&["%s", "%-16s", "%.3s"]),
                false => self.random.pick(&["%d", "%u", "%x", "%08llx", "%-5ld", "%i"]),
            };
            let value = match is_text {
                true if self.random.percent(10) => format!("ksym({})", self.int(1)),
                true if self.random.percent(10) => self.value(Kind::Symbol, 1),
                true if self.random.percent(20) => self.value(Kind::Pair, 2),
                true => self.text(DEPTH),
                false => self.int(DEPTH),
            };
            format = format + " " + conversion;
            arguments = arguments + ", " + &value;
        }
        format!("printf(\"{format}\\n\"{arguments})")
    }

    fn whole_map(&mut self) -> String {
        let map = format!("@{}", self.random.one_of(&self.maps).name);
        match self.random.below(6) {
            0 => format!("clear({map})"),
            1 => format!("zero({map})"),
            2 => format!("print({map}, {})", 1 + self.random.below(10)),
            3 => format!("print({map}, {}, 1000)", 1 + self.random.below(10)),
            4 => format!("print({})", self.any_element()),
            _ => format!("print({map})"),
        }
    }

    /// Takes an element out of a map whose values add up, or tells what was taken out, if there is one.
    fn retire(&mut self) -> Option<String> {
        let adds_up = |value: Value| matches!(value, Value::Data(Kind::Int) | Value::Aggregate("count" | "sum"));
        let fits = |map: &Map| adds_up(map.value) && !map.keys.is_empty();
        let fitting: Vec<usize> = (0..self.maps.len()).filter(|&index| fits(&self.maps[index])).collect();
        let index = *fitting.get(self.random.below(fitting.len().max(1)))?;
        if self.random.percent(30) {
            return Some(format!("summary(@{})", self.maps[index].name));
        }
        let element = self.element(index, 1);
        let name = if self.random.percent(50) { format!(", {}", self.text(1)) } else { String::new() };
        Some(format!("retire({element}{name})"))
    }

    fn any_element(&mut self) -> String {
        let index = self.random.below(self.maps.len());
        self.element(index, 1)
    }

    fn exit(&mut self) -> String {
        if self.random.percent(50) { "exit()".into() } else { format!("exit({})", self.int(1)) }
    }
}
