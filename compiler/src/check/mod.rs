//! The meaning of a script: syntax tree to [`CheckedProgram`]. The only place where errors about
//! meaning arise; whatever passes here can be lowered.
//!
//! Maps get their types from all their uses, in all probes. So the probes are walked again and
//! again until no map's shape changes, and once more to produce the program and the errors. A
//! shape only ever grows ([`Type::join`]), which ends the repetition.

mod aggregate;
mod attach_point;
mod call;
mod constant;
mod expr;
mod fields;
mod index;
mod loops;
mod maps;
mod names;
mod operators;
pub mod params;
pub mod program;
mod record;
mod retire;
mod scope;
mod stacks;
mod stmt;
mod strings;
mod traced;
mod tuples;
pub mod types;

pub use self::maps::lhist_steps;
use std::collections::HashMap;

use pfscript_grammar::{Code, Diagnostic, Severity, Span, ast};

use self::attach_point::Point;
use self::maps::MapTable;
use self::params::ParamTable;
use self::program::{CheckedProbe, CheckedProgram, CheckedTarget, Expr, Stmt};
use self::scope::ProbeScope;
use self::types::Type;
use crate::artifact::{Options, Traced};
use crate::catalog::codes;
use crate::kernel::KernelInfo;
use crate::manifest::RecordLayout;

/// Says that the error has been noted already, and nothing more is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reported;

/// A value, unless an error about it was noted.
type Checked<T> = Result<T, Reported>;

/// Checks `script` for the machine that `kernel` describes.
///
/// # Errors
/// All errors of the script, in the order of their places.
pub fn check(
    script: &ast::Script,
    kernel: &dyn KernelInfo,
    options: &Options,
) -> Result<CheckedProgram, Vec<Diagnostic>> {
    let mut checker = Checker::new(kernel, options);
    checker.params.declare(script, options, &mut checker.diagnostics);
    let declared = std::mem::take(&mut checker.diagnostics);
    let targets = checker.settle(script);
    checker.diagnostics.extend(declared);
    checker.warn_of_unused_params();
    checker.finish(targets)
}

struct Checker<'a> {
    kernel: &'a dyn KernelInfo,
    positional: &'a [String],
    traced: &'a Traced,
    params: ParamTable,
    maps: MapTable,
    records: Vec<RecordLayout>,
    notes: Vec<String>,
    diagnostics: Vec<Diagnostic>,
    /// See [`CheckedProgram::possible_cpus`].
    possible_cpus: u32,
    /// Shapes of maps are final: what is still unknown is an error.
    is_settled: bool,
    probe: ProbeScope,
}

impl<'a> Checker<'a> {
    fn new(kernel: &'a dyn KernelInfo, options: &'a Options) -> Self {
        Self {
            kernel,
            positional: &options.positional,
            traced: &options.traced,
            params: ParamTable::default(),
            maps: MapTable::default(),
            records: Vec::new(),
            notes: Vec::new(),
            diagnostics: Vec::new(),
            possible_cpus: 0,
            is_settled: false,
            probe: ProbeScope::default(),
        }
    }

    /// Walks the probes until the maps' shapes stand, then for good.
    fn settle(&mut self, script: &ast::Script) -> Vec<CheckedTarget> {
        loop {
            let before = self.maps.clone();
            let targets = self.pass(script);
            if self.is_settled {
                return targets;
            }
            self.is_settled = self.maps == before && !self.maps.assume_integers();
        }
    }

    fn pass(&mut self, script: &ast::Script) -> Vec<CheckedTarget> {
        self.diagnostics.clear();
        self.records.clear();
        self.notes.clear();
        let account = self.account_of_started();
        self.map_decls(script);
        self.map_decls(&account);
        let mut targets = Vec::new();
        self.probes(script, true, &mut targets);
        self.probes(&account, false, &mut targets);
        targets
    }

    /// The probes of a script; with `is_limited` they run for the traced processes only.
    fn probes(&mut self, script: &ast::Script, is_limited: bool, targets: &mut Vec<CheckedTarget>) {
        for probe in script.probes() {
            for target in probe.targets.iter().flat_map(|target| self.without_wildcards(target)).collect::<Vec<_>>() {
                let checked = self.target(targets.len(), &target, probe, is_limited);
                targets.push(checked);
            }
        }
    }

    fn target(&mut self, index: usize, target: &ast::Target, probe: &ast::Probe, is_limited: bool) -> CheckedTarget {
        let points = self.alternatives(target);
        let symbols = symbols(index, &points);
        let alternatives = points.into_iter().zip(symbols);
        let alternatives = alternatives.map(|(point, symbol)| self.probe(symbol, point, probe, is_limited)).collect();
        CheckedTarget { alternatives, span: target.span }
    }

    fn probe(&mut self, symbol: String, point: Point, probe: &ast::Probe, is_limited: bool) -> CheckedProbe {
        let own = probe.predicate.as_ref();
        let predicate = if is_limited { self.with_limit(&point.attach, point.span, own) } else { own.cloned() };
        self.probe = ProbeScope::new(point.attach.clone(), point.text.clone(), point.format);
        let predicate = predicate.and_then(|predicate| self.condition(&predicate).ok());
        let body = self.block(&probe.body);
        self.warn_of_unread_variables();
        CheckedProbe {
            symbol,
            attach: point.attach,
            probe: point.text,
            span: point.span,
            predicate,
            body,
            vars: std::mem::take(&mut self.probe.vars),
        }
    }

    fn block(&mut self, block: &ast::Block) -> Vec<Stmt> {
        self.probe.scopes.push(HashMap::new());
        let mut stmts = Vec::with_capacity(block.stmts.len());
        for stmt in &block.stmts {
            // An error is noted; the statements behind it are checked all the same.
            let noted = self.diagnostics.len();
            if self.stmt(stmt, &mut stmts).is_err() {
                self.spoil(stmt, self.diagnostics.len() > noted);
            }
        }
        self.probe.scopes.pop();
        stmts
    }

    fn warn_of_unread_variables(&mut self) {
        let unread = self.probe.vars.iter().filter(|(var, _)| !self.probe.read.contains(*var));
        let warnings: Vec<Diagnostic> = unread
            .map(|(_, data)| {
                let message = format!("variable ${} is assigned, but never read", data.name);
                Diagnostic::warning(codes::UNUSED_VARIABLE, data.span, message)
            })
            .collect();
        for warning in warnings {
            self.note(warning);
        }
    }

    /// Remembers what a wrong statement would have written, so that nothing that only follows from
    /// its error is said. Of a map that takes a said error: its type may just not be known yet.
    fn spoil(&mut self, stmt: &ast::Stmt, is_said: bool) {
        match &stmt.kind {
            ast::StmtKind::Let { name, .. } => self.probe.spoiled.push(name.name.clone()),
            ast::StmtKind::Assign { place, .. } | ast::StmtKind::Expr(place) => {
                let place = if let ast::ExprKind::IncDec { place, .. } = &place.kind { place } else { place };
                match &place.kind {
                    ast::ExprKind::Var(name) => self.probe.spoiled.push(name.clone()),
                    ast::ExprKind::Map(element) if is_said => self.maps.spoil(&element.map),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn warn_of_unused_params(&mut self) {
        for (name, span) in self.params.unused() {
            let message = format!("parameter `{name}` is never used");
            self.note(Diagnostic::warning(codes::UNUSED_PARAM, span, message));
        }
    }

    fn finish(mut self, targets: Vec<CheckedTarget>) -> Result<CheckedProgram, Vec<Diagnostic>> {
        self.storage_fits();
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.primary.span.start);
        if self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            // Warnings wait: many only follow from errors, as what a misspelt name should have used.
            self.diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
            return Err(self.diagnostics);
        }
        let maps = self.maps.into_infos();
        Ok(CheckedProgram {
            targets,
            maps,
            records: self.records,
            possible_cpus: self.possible_cpus,
            notes: self.notes,
            warnings: self.diagnostics,
        })
    }

    /// Notes a diagnostic, once: the body of a probe is checked for each of its attach points.
    fn note(&mut self, diagnostic: Diagnostic) -> Reported {
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
        Reported
    }

    fn error<T>(&mut self, code: Code, span: Span, message: impl Into<String>) -> Checked<T> {
        Err(self.note(Diagnostic::error(code, span, message)))
    }

    fn mismatch<T>(&mut self, found: &Expr, wanted: &str) -> Checked<T> {
        let message = format!("{wanted} is needed here, this is {}", describe(&found.ty));
        let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, found.span, message);
        Err(self.note(match found.ty {
            Type::Str { .. } if wanted == "an integer" => {
                diagnostic.help("strings can only be compared, `==` or `!=`, with other strings")
            }
            Type::UserName => diagnostic.help("`uid` is the number of the user"),
            Type::Symbol { .. } => diagnostic.help("keep the address, and name it where it is shown"),
            Type::Array { .. } => diagnostic.help("its elements are `x[0]`, `x[1]` and so on"),
            Type::Time => diagnostic.help("`nsecs` is the moment as a number; `time` is for emit()"),
            _ => diagnostic,
        }))
    }
}

/// The symbols of the programs of a target: `t0_kprobe`; where another alternative is of the same
/// kind, `t0_kprobe2`.
fn symbols(index: usize, points: &[Point]) -> Vec<String> {
    let symbol = |(at, point): (usize, &Point)| {
        let before = points[..at].iter().filter(|other| other.tag == point.tag).count();
        let number = if before == 0 { String::new() } else { (before + 1).to_string() };
        format!("t{index}_{}{number}", point.tag)
    };
    points.iter().enumerate().map(symbol).collect()
}

/// A type as a message names it.
fn describe(ty: &Type) -> String {
    match ty {
        Type::Int { .. } => format!("an integer ({ty})"),
        Type::Str { .. } => "a string".into(),
        Type::Time | Type::Moment(_) => "a moment in time".into(),
        Type::Stack { .. } => format!("a stack ({ty})"),
        Type::Tuple(_) => format!("a tuple {ty}"),
        Type::UserName => "a user's name".into(),
        Type::Symbol { .. } => format!("a symbol ({ty})"),
        Type::Pointer(_) => "an address".into(),
        Type::Struct(_) => "a structure".into(),
        Type::Array { .. } => "an array".into(),
    }
}
