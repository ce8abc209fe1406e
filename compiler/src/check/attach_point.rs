//! Attach points: kind, parts, and whether the kernel has them.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::{Checked, Checker};
use crate::catalog::probe_kinds::{self, PROBE_KINDS, ParseFailure, ProbeKind};
use crate::catalog::{absent, codes, nearest};
use crate::glob;
use crate::kernel::{TracepointFormat, Unavailable};
use crate::manifest::AttachSpec;

/// The most probes that one wildcard stands for.
const MAX_MATCHES: usize = 512;

/// An attach point that is understood.
pub struct Point {
    /// What is attached to.
    pub attach: AttachSpec,
    /// Spelled out in full.
    pub text: String,
    /// What stands for its kind in the program's symbol.
    pub tag: &'static str,
    /// Where it is written.
    pub span: Span,
    /// The layout of a tracepoint's record.
    pub format: Option<Result<TracepointFormat, Unavailable>>,
}

impl Checker<'_> {
    /// The alternatives of a target that this kernel may offer. A tracepoint that it surely lacks
    /// is passed over when there are others, and is an error when there are none.
    pub(super) fn alternatives(&mut self, target: &ast::Target) -> Vec<Point> {
        let understood: Vec<Point> = target.alternatives.iter().filter_map(|point| self.point(point).ok()).collect();
        let always_runs = |point: &&Point| matches!(point.attach, AttachSpec::Begin | AttachSpec::End);
        if let (true, Some(point)) = (understood.len() > 1, understood.iter().find(always_runs)) {
            let message = format!("{} cannot stand in an `or`: it runs on every kernel", point.text);
            self.note(Diagnostic::error(codes::PROBE_SYNTAX, point.span, message));
        }
        let (mut offered, missing): (Vec<Point>, Vec<Point>) =
            understood.into_iter().partition(|point| point.format != Some(Err(Unavailable::NotFound)));
        for point in missing {
            if offered.is_empty() && target.alternatives.len() == 1 {
                let _: Checked<()> = self.no_such_tracepoint(&point);
            } else {
                self.notes.push(format!("{} was passed over: this kernel does not have it", point.text));
            }
            if offered.is_empty() {
                offered.push(point);
            }
        }
        offered
    }

    /// A target with a wildcard becomes one target for each match; any other stays itself.
    pub(super) fn without_wildcards(&mut self, target: &ast::Target) -> Vec<ast::Target> {
        let has_wildcard = |point: &ast::AttachPoint| point.parts.iter().any(|part| part.name.contains(['*', '?']));
        match target.alternatives.as_slice() {
            [only] if has_wildcard(only) => self.matches(only).unwrap_or_default(),
            [_] => vec![target.clone()],
            several => {
                if let Some(wild) = several.iter().find(|point| has_wildcard(point)) {
                    let message = "a wildcard cannot stand in an `or`: it may match several probes";
                    self.note(Diagnostic::error(codes::PROBE_SYNTAX, wild.span, message));
                    return Vec::new();
                }
                vec![target.clone()]
            }
        }
    }

    fn matches(&mut self, point: &ast::AttachPoint) -> Checked<Vec<ast::Target>> {
        let kind = match probe_kinds::find(&point.kind.name) {
            Some(kind) => kind.name,
            None => return self.unknown_kind(point),
        };
        let parts: Vec<&str> = point.parts.iter().map(|part| part.name.as_str()).collect();
        let found: Vec<Vec<String>> = match (kind, parts.as_slice()) {
            ("tracepoint", [category, name]) => self.matching_tracepoints(category, name),
            ("rawtracepoint", [name]) => {
                let pairs = self.matching_tracepoints("*", name).into_iter();
                pairs.filter_map(|mut pair| pair.pop()).map(|name| vec![name]).collect()
            }
            ("kprobe" | "kretprobe" | "fentry" | "fexit", [name]) => {
                self.kernel.functions(name).into_iter().map(|name| vec![name]).collect()
            }
            _ => return self.error(codes::PROBE_SYNTAX, point.span, format!("{kind} probes take no wildcard")),
        };
        match found.len() {
            0 => self.error(codes::UNKNOWN_TRACEPOINT, point.span, "nothing in this kernel matches"),
            count if count > MAX_MATCHES => {
                let message = format!("{count} probes match, at most {MAX_MATCHES} are attached at once");
                self.error(codes::PROBE_SYNTAX, point.span, message)
            }
            _ => Ok(found.into_iter().map(|names| with_names(point, &names)).collect()),
        }
    }

    fn matching_tracepoints(&self, category: &str, name: &str) -> Vec<Vec<String>> {
        let all = self.kernel.tracepoints().into_iter();
        let matching = all.filter(|(c, n)| glob::matches(category, c) && glob::matches(name, n));
        matching.map(|(category, name)| vec![category, name]).collect()
    }

    fn point(&mut self, point: &ast::AttachPoint) -> Checked<Point> {
        let Some(kind) = probe_kinds::find(&point.kind.name) else { return self.unknown_kind(point) };
        let parts: Vec<&str> = point.parts.iter().map(|part| part.name.as_str()).collect();
        let attach = match (kind.parse)(&parts) {
            Ok(attach) => attach,
            Err(failure) => return self.wrong_parts(kind, point, failure),
        };
        self.warn_of_default_period(&attach, point);
        let format = match &attach {
            AttachSpec::Tracepoint { category, name } => Some(self.kernel.tracepoint(category, name)),
            _ => None,
        };
        if let Some(Ok(TracepointFormat { source, .. })) = &format {
            let note = format!("the fields of {}:{} come from {source}", kind.name, parts.join(":"));
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        Ok(Point { text: full_text(kind, &attach, &parts), attach, tag: kind.tag, span: point.span, format })
    }

    fn unknown_kind<T>(&mut self, point: &ast::AttachPoint) -> Checked<T> {
        let name = &point.kind.name;
        let names: Vec<&str> = PROBE_KINDS.iter().map(|kind| kind.name).collect();
        let mut diagnostic =
            Diagnostic::error(codes::UNKNOWN_PROBE, point.kind.span, format!("no kind of probe is called `{name}`"));
        diagnostic = match (absent::instead_of(name), nearest(name, names.iter().copied())) {
            (Some(instead), _) => diagnostic.help(instead),
            (None, Some(near)) => diagnostic.help(format!("did you mean `{near}`?")),
            (None, None) => diagnostic.help(format!("the kinds are {}", names.join(", "))),
        };
        Err(self.note(diagnostic))
    }

    fn wrong_parts<T>(&mut self, kind: &ProbeKind, point: &ast::AttachPoint, failure: ParseFailure) -> Checked<T> {
        let diagnostic = match failure {
            ParseFailure::Shape => {
                let message = format!("`{}` probes are written `{}`", kind.name, kind.syntax);
                let diagnostic = Diagnostic::error(codes::PROBE_SYNTAX, point.span, message);
                match self.category_of(point) {
                    Some(category) => {
                        diagnostic.help(format!("did you mean `{}:{category}:{}`?", kind.name, point.parts[0].name))
                    }
                    None => diagnostic,
                }
            }
            ParseFailure::Part(index, why) => {
                let part = &point.parts[index];
                Diagnostic::error(codes::PROBE_SYNTAX, part.span, format!("`{}` {why}", part.name))
                    .help(format!("write `{}`", kind.syntax))
            }
            ParseFailure::NoSuchName(index, names) => {
                let part = &point.parts[index];
                let message = format!("`{}` is not known to {} probes", part.name, kind.name);
                let diagnostic = Diagnostic::error(codes::PROBE_SYNTAX, part.span, message);
                match nearest(&part.name, names.iter().copied()) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help(format!("known are {}", names.join(", "))),
                }
            }
        };
        Err(self.note(diagnostic))
    }

    /// The category of the tracepoint that a lone part names.
    fn category_of(&self, point: &ast::AttachPoint) -> Option<String> {
        let [only] = point.parts.as_slice() else { return None };
        self.kernel.tracepoints().into_iter().find(|(_, name)| *name == only.name).map(|(category, _)| category)
    }

    fn no_such_tracepoint<T>(&mut self, point: &Point) -> Checked<T> {
        let AttachSpec::Tracepoint { category, name } = &point.attach else {
            return Err(super::Reported);
        };
        let wanted = format!("{category}:{name}");
        let known: Vec<String> =
            self.kernel.tracepoints().into_iter().map(|(category, name)| format!("{category}:{name}")).collect();
        let message = format!("this kernel has no tracepoint `{wanted}`");
        let diagnostic = Diagnostic::error(codes::UNKNOWN_TRACEPOINT, point.span, message);
        let diagnostic = match nearest(&wanted, known.iter().map(String::as_str)) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help("`pfscript -l 'tracepoint:*'` lists them all"),
        };
        Err(self.note(diagnostic))
    }

    fn warn_of_default_period(&mut self, attach: &AttachSpec, point: &ast::AttachPoint) {
        let (AttachSpec::Software { period, .. } | AttachSpec::Hardware { period, .. }) = attach else { return };
        if *period == 1 || point.parts.len() != 1 {
            return;
        }
        let message = format!("only one event in {period} is seen");
        let diagnostic = Diagnostic::warning(codes::DEFAULT_PERIOD, point.span, message)
            .help(format!("write `{}:{}:1` to see every event", point.kind.name, point.parts[0].name));
        self.note(diagnostic);
    }
}

/// The attach point with `names` in place of its wildcards.
fn with_names(point: &ast::AttachPoint, names: &[String]) -> ast::Target {
    let parts = names.iter().map(|name| ast::Ident { name: name.clone(), span: point.span }).collect();
    ast::Target { alternatives: vec![ast::AttachPoint { parts, ..point.clone() }], span: point.span }
}

/// The attach point with nothing left out.
fn full_text(kind: &ProbeKind, attach: &AttachSpec, parts: &[&str]) -> String {
    let name = kind.name;
    match attach {
        AttachSpec::Begin | AttachSpec::End => name.to_owned(),
        AttachSpec::Software { config, period } => {
            format!("{name}:{}:{period}", probe_kinds::software_event_name(*config).unwrap_or(parts[0]))
        }
        AttachSpec::Hardware { period, .. } => format!("{name}:{}:{period}", parts[0]),
        _ => format!("{name}:{}", parts.join(":")),
    }
}
