//! What is visible at one place in one probe.

use std::collections::HashMap;

use cranelift_entity::{EntityRef, EntitySet, PrimaryMap};
use pfscript_grammar::Span;

use super::program::{OuterVar, Var, VarData};
use super::types::Type;
use crate::kernel::{TracepointFormat, Unavailable};
use crate::manifest::AttachSpec;

/// The probe being checked, its variables and blocks.
pub struct ProbeScope {
    /// What it is attached to.
    pub attach: AttachSpec,
    /// The attach point in full: the value of `probe`.
    pub text: String,
    /// The layout of the tracepoint's record.
    pub format: Option<Result<TracepointFormat, Unavailable>>,
    /// All variables.
    pub vars: PrimaryMap<Var, VarData>,
    /// The variables visible in each open block by their names, the innermost last.
    pub scopes: Vec<HashMap<String, Var>>,
    /// The variables that are read somewhere.
    pub read: EntitySet<Var>,
    /// Names of variables whose value was wrong: nothing more is said about them.
    pub spoiled: Vec<String>,
    /// How often the place is written out by the `unroll`s around it.
    pub copies: i64,
    /// How many loops are open.
    pub loops: u32,
    /// The open loops over maps, the innermost last.
    pub map_loops: Vec<MapLoop>,
}

/// A loop over a map whose body is being checked.
pub struct MapLoop {
    /// The variable that holds key and value.
    pub var: Var,
    /// How many variables there were before it: those are from outside.
    before: usize,
    /// Those of them that the body uses.
    pub outer: Vec<OuterVar>,
}

impl Default for ProbeScope {
    fn default() -> Self {
        Self::new(AttachSpec::Begin, String::new(), None)
    }
}

impl ProbeScope {
    /// The scope at the start of a probe.
    pub fn new(attach: AttachSpec, text: String, format: Option<Result<TracepointFormat, Unavailable>>) -> Self {
        Self {
            attach,
            text,
            format,
            vars: PrimaryMap::new(),
            scopes: vec![HashMap::new()],
            read: EntitySet::new(),
            spoiled: Vec::new(),
            copies: 1,
            loops: 0,
            map_loops: Vec::new(),
        }
    }

    /// Opens a loop over a map, in a block of its own.
    pub fn open_map_loop(&mut self, name: &str, ty: Type, span: Span) {
        let before = self.vars.len();
        self.scopes.push(HashMap::new());
        let var = self.declare(name, ty, span);
        self.read.insert(var); // going through the elements is use enough
        self.map_loops.push(MapLoop { var, before, outer: Vec::new() });
        self.loops += 1;
    }

    /// Closes it again.
    pub fn close_map_loop(&mut self) -> MapLoop {
        self.loops -= 1;
        self.scopes.pop();
        self.map_loops.pop().expect("a loop is closed after it was opened")
    }

    /// Notes the use of a variable for the loops that it is outside of.
    pub fn note_use(&mut self, var: Var, is_changed: bool) {
        for map_loop in self.map_loops.iter_mut().filter(|map_loop| var.index() < map_loop.before) {
            match map_loop.outer.iter_mut().find(|outer| outer.var == var) {
                Some(known) => known.is_changed |= is_changed,
                None => map_loop.outer.push(OuterVar { var, is_changed }),
            }
        }
    }

    /// The visible variable of that name.
    pub fn find(&self, name: &str) -> Option<Var> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name).copied())
    }

    /// A variable of that name that went out of sight with its block.
    pub fn find_gone(&self, name: &str) -> Option<Var> {
        self.vars.keys().find(|&var| self.vars[var].name == name)
    }

    /// Declares a variable in the innermost block.
    pub fn declare(&mut self, name: &str, ty: Type, span: Span) -> Var {
        let var = self.vars.push(VarData { name: name.to_owned(), ty, span });
        self.scopes.last_mut().expect("a probe has its own scope").insert(name.to_owned(), var);
        var
    }
}
