//! The maps: shapes learnt from every use, and their final layouts.

use std::collections::{HashMap, HashSet};

use pfscript_grammar::{Diagnostic, Span, ast};

use super::program::{Element, Expr};
use super::record::name_of;
use super::types::{Type, side_by_side};
use super::{Checked, Checker, describe};
use crate::catalog::{codes, nearest};
use crate::manifest::{self, MapInfo, MapKind, MapRef, MapValue, Member};

/// How many elements a map holds unless the script says otherwise. Memory grows with use, not
/// with this number, but for 16 bytes of hash table per element.
pub const DEFAULT_MAX_ENTRIES: u32 = 65536;

/// The kernel since which a program can see the values of other CPUs.
const READ_AGGREGATION: (u32, u32) = (5, 19);

/// All maps in the order of their first mention.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MapTable {
    shapes: Vec<Shape>,
    by_name: HashMap<String, usize>,
}

#[derive(Clone, Debug, PartialEq)]
struct Shape {
    name: String,
    key: Option<Vec<Type>>,
    key_names: Vec<String>,
    key_span: Span,
    value: Option<Value>,
    value_span: Span,
    /// Something is assigned to an element, be its type known or not.
    is_assigned: bool,
    /// What it holds if nothing else tells: integers, or such an aggregation of them.
    supposed: Option<MapValue>,
    declared: Option<(MapKind, u32)>,
    /// A statement that writes to it is wrong.
    is_spoiled: bool,
    span: Span,
}

/// What a map holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Plain values.
    Data(Type),
    /// An aggregation.
    Aggregate(MapValue),
}

impl MapTable {
    fn find_or_add(&mut self, name: &ast::Ident) -> MapRef {
        let found = self.by_name.get(&name.name).copied();
        let index = found.unwrap_or_else(|| {
            self.by_name.insert(name.name.clone(), self.shapes.len());
            let shape = Shape {
                name: name.name.clone(),
                key: None,
                key_names: Vec::new(),
                key_span: name.span,
                value: None,
                value_span: name.span,
                is_assigned: false,
                supposed: None,
                declared: None,
                is_spoiled: false,
                span: name.span,
            };
            self.shapes.push(shape);
            self.shapes.len() - 1
        });
        MapRef(index as u32)
    }

    /// Takes integers for a map that is only given values that depend on the map itself, as in
    /// `@n = @n * 2 + 1` or `@n = max(@n + 1)`. Whether there was one.
    pub fn assume_integers(&mut self) -> bool {
        let unknown = self.shapes.iter_mut().find(|shape| shape.is_assigned && shape.value.is_none());
        let Some(shape) = unknown else { return false };
        shape.value = Some(match shape.supposed.take() {
            Some(aggregation) => Value::Aggregate(aggregation),
            None => Value::Data(super::types::INT64),
        });
        true
    }

    /// Lets nothing more be said about a map that a wrong statement would have written.
    pub fn spoil(&mut self, name: &ast::Ident) {
        let map = self.find_or_add(name);
        self.shapes[map.0 as usize].is_spoiled = true;
    }

    /// What the map holds, as far as is known.
    pub fn value(&self, map: MapRef) -> Option<&Value> {
        self.shapes[map.0 as usize].value.as_ref()
    }

    /// The parts of the map's key, as far as is known.
    pub fn key(&self, map: MapRef) -> Option<&[Type]> {
        self.shapes[map.0 as usize].key.as_deref()
    }

    /// The final layouts, in the order of the [`MapRef`]s.
    pub fn into_infos(self) -> Vec<MapInfo> {
        let stacks = (1..=manifest::STACK_DEPTH).map(manifest::stacks_map);
        let mut symbols: HashSet<String> =
            stacks.chain([manifest::EVENTS_MAP, manifest::STAGE_MAP].map(String::from)).collect();
        self.shapes.into_iter().map(|shape| layout(shape, &mut symbols)).collect()
    }
}

fn layout(shape: Shape, symbols: &mut HashSet<String>) -> MapInfo {
    let (key, key_size) = key_layout(shape.key.unwrap_or_default());
    let value = match shape.value {
        None => MapValue::Data(super::types::INT64.data().expect("integers have bytes")),
        Some(Value::Data(ty)) => MapValue::Data(ty.data().expect("only data is stored in maps")),
        Some(Value::Aggregate(value)) => value,
    };
    let (kind, max_entries) = storage(shape.declared, &value, key.is_empty());
    MapInfo {
        symbol: unique_symbol(&shape.name, symbols),
        name: shape.name,
        kind,
        key_size: if key.is_empty() { 4 } else { key_size },
        // Of a tuple that is spread over the key the parts have no names.
        key_names: if shape.key_names.len() == key.len() { shape.key_names } else { vec![String::new(); key.len()] },
        key,
        value_size: value_size(&value),
        value,
        max_entries,
        span: shape.span,
    }
}

/// How the kernel stores the map: what the declaration says, else what its value needs.
fn storage(declared: Option<(MapKind, u32)>, value: &MapValue, is_scalar: bool) -> (MapKind, u32) {
    let is_data = matches!(value, MapValue::Data(_));
    match (declared, is_scalar) {
        (Some(declared), false) => declared,
        (_, true) if is_data => (MapKind::Array, 1),
        (_, true) => (MapKind::PercpuArray, 1),
        (None, false) if is_data => (MapKind::Hash, DEFAULT_MAX_ENTRIES),
        (None, false) => (MapKind::PercpuHash, DEFAULT_MAX_ENTRIES),
    }
}

fn key_layout(types: Vec<Type>) -> (Vec<Member>, u32) {
    side_by_side(types.iter().map(|ty| ty.data().expect("only data is taken for a key")).collect())
}

/// Bytes of one CPU's value.
fn value_size(value: &MapValue) -> u32 {
    match value {
        MapValue::Data(ty) => ty.size().next_multiple_of(8),
        MapValue::Count | MapValue::Sum { .. } => 8,
        MapValue::Min { .. } | MapValue::Max { .. } | MapValue::Avg { .. } | MapValue::Stats { .. } => 16,
        MapValue::Hist => manifest::HIST_BUCKETS * 8,
        MapValue::Lhist { min, max, step } => (lhist_steps(*min, *max, *step) as u32 + 2) * 8,
    }
}

/// The aggregation that takes in what both take: unsigned when one of them is, as in arithmetic.
fn of_both_signs(a: &MapValue, b: &MapValue) -> Option<MapValue> {
    Some(match (a, b) {
        (MapValue::Sum { signed: a }, MapValue::Sum { signed: b }) => MapValue::Sum { signed: *a && *b },
        (MapValue::Min { signed: a }, MapValue::Min { signed: b }) => MapValue::Min { signed: *a && *b },
        (MapValue::Max { signed: a }, MapValue::Max { signed: b }) => MapValue::Max { signed: *a && *b },
        (MapValue::Avg { signed: a }, MapValue::Avg { signed: b }) => MapValue::Avg { signed: *a && *b },
        (MapValue::Stats { signed: a }, MapValue::Stats { signed: b }) => MapValue::Stats { signed: *a && *b },
        (a, b) if a == b => a.clone(),
        _ => return None,
    })
}

/// The number of steps between the ends of a linear histogram.
pub fn lhist_steps(min: i64, max: i64, step: i64) -> u64 {
    (max.wrapping_sub(min) as u64).div_ceil(step as u64)
}

/// The kernel takes 15 bytes of `[A-Za-z0-9_.]` for a name.
fn unique_symbol(name: &str, taken: &mut HashSet<String>) -> String {
    let base: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(15).collect();
    let base = if base.is_empty() { "anonymous".to_owned() } else { base };
    let numbered = (1..).map(|number| {
        let suffix = format!("_{number}");
        format!("{}{suffix}", &base[..base.len().min(15 - suffix.len())])
    });
    let symbol = std::iter::once(base.clone()).chain(numbered).find(|symbol| !taken.contains(symbol));
    let symbol = symbol.expect("there are more numbers than maps");
    taken.insert(symbol.clone());
    symbol
}

impl Checker<'_> {
    /// `let @m = kind(size);`
    pub(super) fn map_decls(&mut self, script: &ast::Script) {
        for decl in script.map_decls() {
            let Ok(declared) = self.map_decl(decl) else { continue };
            let map = self.maps.find_or_add(&decl.name);
            self.maps.shapes[map.0 as usize].declared = Some(declared);
        }
    }

    fn map_decl(&mut self, decl: &ast::MapDecl) -> Checked<(MapKind, u32)> {
        let kind = match decl.kind.name.as_str() {
            "hash" => MapKind::Hash,
            "lruhash" => MapKind::LruHash,
            "percpuhash" => MapKind::PercpuHash,
            other => {
                let mut diagnostic = Diagnostic::error(
                    codes::UNKNOWN_NAME,
                    decl.kind.span,
                    format!("no kind of map is called `{other}`"),
                );
                diagnostic = diagnostic.help("the kinds are hash, lruhash and percpuhash");
                return Err(self.note(diagnostic));
            }
        };
        let Some(size) = &decl.size else { return Ok((kind, DEFAULT_MAX_ENTRIES)) };
        let entries = self.positive_constant(size, "a map's size")?;
        match u32::try_from(entries) {
            Ok(entries) if entries <= 1 << 26 => Ok((kind, entries)),
            _ => self.error(codes::NOT_POSITIVE, size.span, "a map holds at most 67108864 elements"),
        }
    }

    /// Whether each declared kind of map suits what the map came to hold.
    pub(super) fn storage_fits(&mut self) {
        for shape in self.maps.shapes.clone() {
            let (Some((kind, _)), Some(value)) = (shape.declared, &shape.value) else { continue };
            let (name, holds) = (&shape.name, describe_shape(value));
            let (message, help) = match (value, kind.is_percpu()) {
                (Value::Data(_), true) => (
                    format!("map @{name} holds {holds}, of which a percpuhash would keep another on each CPU"),
                    "declare it as `hash` or `lruhash`; percpuhash is for `count()`, `sum()` and their kind",
                ),
                (Value::Aggregate(MapValue::Min { .. } | MapValue::Max { .. }), false) => (
                    format!("map @{name} holds {holds}, which needs a value on each CPU"),
                    "declare it as `percpuhash`, or not at all",
                ),
                _ => continue,
            };
            self.note(Diagnostic::error(codes::VALUE_SHAPE, shape.span, message).help(help));
        }
    }

    /// `@m`, without a look at its key.
    pub(super) fn map_named(&mut self, name: &ast::Ident) -> MapRef {
        self.maps.find_or_add(name)
    }

    /// `@m[key] = ...;`
    pub(super) fn note_assigned(&mut self, element: &ast::MapElement) {
        let map = self.map_named(&element.map);
        self.maps.shapes[map.0 as usize].is_assigned = true;
    }

    /// `@m[key] = sum(x)`, where x is not known yet.
    pub(super) fn suppose_value(&mut self, element: &ast::MapElement, value: MapValue) {
        self.note_assigned(element);
        let map = self.map_named(&element.map);
        self.maps.shapes[map.0 as usize].supposed = Some(value);
    }

    /// `@m[key]`: checks the key, and lets the map learn from it.
    pub(super) fn element(&mut self, element: &ast::MapElement) -> Checked<Element> {
        let map = self.map_named(&element.map);
        let keys = self.key_parts(&element.keys)?;
        self.learn_key(map, &keys, element.map.span)?;
        self.learn_key_names(map, &element.keys);
        Ok(Element { map, key: keys })
    }

    /// Lets the map learn what its key's parts are called: the first use counts, and a later one
    /// where it had no name.
    pub(super) fn learn_key_names(&mut self, map: MapRef, keys: &[ast::Expr]) {
        let found = keys.iter().map(|key| name_of(key).unwrap_or_default());
        let known = &mut self.maps.shapes[map.0 as usize].key_names;
        known.resize(keys.len(), String::new());
        for (known, found) in known.iter_mut().zip(found).filter(|(known, _)| known.is_empty()) {
            *known = found.to_owned();
        }
    }

    /// The parts of a key, tuples among them; `@m[(a, b)]` is `@m[a, b]`.
    pub(super) fn key_parts(&mut self, keys: &[ast::Expr]) -> Checked<Vec<Expr>> {
        // All of them, for each may have its errors, or teach a map something.
        let parts: Vec<Checked<Expr>> = keys.iter().map(|key| self.key_part(key)).collect();
        parts.into_iter().collect()
    }

    fn key_part(&mut self, key: &ast::Expr) -> Checked<Expr> {
        let part = self.data_expr(key)?;
        let has_moment = part.ty.spread().any(|ty| matches!(ty, Type::Moment(_)));
        if has_moment { self.mismatch(&part, "an integer or a string") } else { Ok(part) }
    }

    pub(super) fn learn_key(&mut self, map: MapRef, keys: &[Expr], at: Span) -> Checked<()> {
        let found: Vec<Type> = keys.iter().flat_map(|key| key.ty.spread()).cloned().collect();
        let span = keys.iter().map(|key| key.span).reduce(Span::to).unwrap_or(at);
        let shape = &mut self.maps.shapes[map.0 as usize];
        let Some(known) = &shape.key else {
            shape.key = Some(found);
            shape.key_span = span;
            return Ok(());
        };
        let joined: Option<Vec<Type>> = match known.len() == found.len() {
            true => known.iter().zip(&found).map(|(a, b)| a.join(b)).collect(),
            false => None,
        };
        if let Some(joined) = joined {
            shape.key = Some(joined);
            return Ok(());
        }
        let (name, first, known) = (shape.name.clone(), shape.key_span, describe_key(known));
        let message = format!("map @{name} is used with two kinds of keys");
        let diagnostic = Diagnostic::error(codes::KEY_SHAPE, span, message)
            .label(format!("here with {}", describe_key(&found)))
            .also(first, format!("first used here with {known}"))
            .help("give the second use a map of its own, or the same key");
        Err(self.note(diagnostic))
    }

    /// Lets the map learn that it holds `value`.
    pub(super) fn learn_value(&mut self, map: MapRef, value: Value, span: Span) -> Checked<()> {
        let shape = &mut self.maps.shapes[map.0 as usize];
        let joined = match (&shape.value, &value) {
            (None, value) => {
                shape.value_span = span;
                Some(value.clone())
            }
            (Some(Value::Data(a)), Value::Data(b)) => a.join(b).map(Value::Data),
            (Some(Value::Aggregate(a)), Value::Aggregate(b)) => of_both_signs(a, b).map(Value::Aggregate),
            // `@x = count(); @x = 0` is how bpftrace scripts start over; here it is `zero(@x)`.
            _ => None,
        };
        if joined.is_some() {
            shape.value = joined;
            return Ok(());
        }
        let known = shape.value.as_ref().map(describe_shape).unwrap_or_default();
        let (name, first) = (shape.name.clone(), shape.value_span);
        let is_reset = matches!((&shape.value, &value), (Some(Value::Aggregate(_)), Value::Data(_)));
        let message = format!("map @{name} holds {known}, it cannot be given {} too", describe_shape(&value));
        let diagnostic = Diagnostic::error(codes::VALUE_SHAPE, span, message).also(first, "first written here");
        let diagnostic = match is_reset {
            true => diagnostic.help(format!("`zero(@{name})` or `clear(@{name})` lets it start again")),
            false => diagnostic.help("use a map of its own for the other"),
        };
        Err(self.note(diagnostic))
    }

    /// The type of a plain element that is read.
    pub(super) fn element_type(&mut self, map: MapRef, at: Span) -> Checked<Type> {
        match self.maps.value(map).cloned() {
            Some(Value::Data(ty)) => Ok(ty),
            Some(Value::Aggregate(value)) => self.aggregated_type(&value, at),
            None if self.is_settled => self.never_written(map, at),
            None => Err(super::Reported),
        }
    }

    /// The type of what an aggregation came to so far.
    pub(super) fn aggregated_type(&mut self, value: &MapValue, at: Span) -> Checked<Type> {
        let signed = match *value {
            MapValue::Count => true,
            MapValue::Sum { signed }
            | MapValue::Min { signed }
            | MapValue::Max { signed }
            | MapValue::Avg { signed } => signed,
            MapValue::Data(_) | MapValue::Stats { .. } | MapValue::Hist | MapValue::Lhist { .. } => {
                return self.not_one_number(value, at);
            }
        };
        self.possible_cpus = self.kernel.possible_cpus();
        let release = self.kernel.release();
        if release != (0, 0) && release < READ_AGGREGATION {
            let message = format!("{} can be read in a program since Linux 5.19", describe_value(value));
            let diagnostic = Diagnostic::error(codes::NOT_SUPPORTED, at, message);
            return Err(self.note(diagnostic.help("count with `++` or `+=` where a program needs the number")));
        }
        Ok(Type::Int { bytes: 8, signed })
    }

    fn not_one_number<T>(&mut self, value: &MapValue, at: Span) -> Checked<T> {
        let message = format!("{} is more than one number: it has no value in an expression", describe_value(value));
        let help = match value {
            MapValue::Stats { .. } => "`count()`, `avg()` or `sum()` in a map of its own gives one of the three",
            _ => "`print(@map)` shows it; `count()` or `max()` in a map of its own can be compared",
        };
        Err(self.note(Diagnostic::error(codes::TYPE_MISMATCH, at, message).help(help)))
    }

    pub(super) fn never_written<T>(&mut self, map: MapRef, at: Span) -> Checked<T> {
        if self.maps.shapes[map.0 as usize].is_spoiled {
            return Err(super::Reported);
        }
        let name = self.maps.shapes[map.0 as usize].name.clone();
        let message = format!("map @{name} is read, but never written");
        let mut diagnostic = Diagnostic::error(codes::UNKNOWN_MAP, at, message);
        let written = self.maps.shapes.iter().filter(|shape| shape.value.is_some()).map(|shape| shape.name.as_str());
        if let Some(near) = nearest(&name, written) {
            diagnostic = diagnostic.help(format!("did you mean `@{near}`?"));
        } else {
            diagnostic = diagnostic.help("write to it in a probe, as in `@m[pid]++` or `@m = nsecs`");
        }
        Err(self.note(diagnostic))
    }
}

fn describe_key(types: &[Type]) -> String {
    match types {
        [] => "no key".into(),
        [only] => describe(only),
        several => {
            let parts: Vec<String> = several.iter().map(Type::to_string).collect();
            format!("({})", parts.join(", "))
        }
    }
}

pub(super) fn describe_shape(value: &Value) -> String {
    match value {
        Value::Data(Type::Int { .. }) => "integers".into(),
        Value::Data(Type::Str { .. }) => "strings".into(),
        Value::Data(ty @ Type::Tuple(_)) => format!("tuples {ty}"),
        Value::Data(ty @ Type::Stack { .. }) => format!("stacks ({ty})"),
        Value::Data(ty @ Type::Symbol { .. }) => format!("symbols ({ty})"),
        Value::Data(Type::Moment(_)) => "moments in time".into(),
        Value::Data(Type::UserName) => "names of users".into(),
        Value::Data(ty) => describe(ty),
        Value::Aggregate(value) => describe_value(value).into(),
    }
}

fn describe_value(value: &MapValue) -> &'static str {
    match value {
        MapValue::Data(_) => "a value",
        MapValue::Count => "count()",
        MapValue::Sum { .. } => "sum()",
        MapValue::Min { .. } => "min()",
        MapValue::Max { .. } => "max()",
        MapValue::Avg { .. } => "avg()",
        MapValue::Stats { .. } => "stats()",
        MapValue::Hist => "hist()",
        MapValue::Lhist { .. } => "lhist()",
    }
}
