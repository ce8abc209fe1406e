//! What goes to stderr: the compiler's diagnostics with the script's lines, and plain remarks.
//!
//! A diagnostic's heading is `file:line:column: error[code]: message`, which editors jump to; the
//! rest is drawn by annotate-snippets as rustc draws it. Lines too long to be read are cut down to
//! the neighbourhood of what is wrong before they are drawn.

use std::io::{self, IsTerminal, Write};

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use pfscript_grammar::{Code, Diagnostic, Label, LineColumn, Severity, SourceFile, Span};

use crate::output::text::push_escaped;

/// A script can be wrong in thousands of places; nobody reads that many.
const MOST: usize = 20;
/// Lines up to this many bytes are left to the renderer.
const LONG_LINE: usize = 400;
/// Of a longer line so many bytes are kept before and after what is wrong.
const AROUND: usize = 60;
/// Stands for what was cut out.
const DOTS: &str = "...";

/// Says what is wrong with a script; ends with the number of errors.
pub fn diagnostics(source: &SourceFile, diagnostics: &[Diagnostic]) {
    let renderer = stderr_renderer();
    let mut text = String::new();
    for diagnostic in diagnostics.iter().take(MOST) {
        text += &render(source, diagnostic, &renderer);
        text += "\n\n";
    }
    text += &summary(source, diagnostics);
    to_stderr(&text);
}

/// `3 errors in pagefault.pf`, and how many of them were not shown.
fn summary(source: &SourceFile, diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let unshown = match diagnostics.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(", {more} not shown"),
    };
    match errors {
        0 => String::new(),
        1 => format!("1 error in {}{unshown}\n", clean(source.name())),
        _ => format!("{errors} errors in {}{unshown}\n", clean(source.name())),
    }
}

/// One diagnostic, without a newline at its end.
pub fn render(source: &SourceFile, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let (level, severity) = match diagnostic.severity {
        Severity::Error => (Level::ERROR, "error"),
        Severity::Warning => (Level::WARNING, "warning"),
    };
    let place = source.line_column(clamped(source, diagnostic.primary.span).start);
    let name = format!("{}:{}:{}: {severity}", source.name(), place.line, place.column);
    let mut title = level.with_name(name).primary_title(clean(&diagnostic.message));
    if !diagnostic.code.0.is_empty() {
        title = title.id(diagnostic.code.0);
    }
    let excerpt = Excerpt::new(source, diagnostic);
    let snippet = Snippet::source(excerpt.text.as_str()).annotations(excerpt.annotations(source, diagnostic));
    let help = diagnostic.help.iter().map(|help| Level::HELP.message(clean(help)));
    renderer.render(&[title.element(snippet).elements(help)])
}

/// The script's text with long lines cut, and where its places are then.
struct Excerpt {
    text: String,
    /// Ranges of the script's bytes that were cut out, ascending.
    cut: Vec<(usize, usize)>,
}

impl Excerpt {
    fn new(source: &SourceFile, diagnostic: &Diagnostic) -> Self {
        let places = std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary);
        let places: Vec<_> = places.map(|label| clamped(source, label.span).range()).collect();
        let mut excerpt = Self { text: String::new(), cut: Vec::new() };
        let mut start = 0;
        for line in source.text().split_inclusive('\n') {
            let wanted = places.iter().find(|place| (start..start + line.len().max(1)).contains(&place.start));
            let focus = wanted.map_or(0, |place| place.start - start);
            excerpt.push_line(start, line, focus);
            start += line.len();
        }
        excerpt
    }

    /// Appends the line that begins at `start`; of a long one what surrounds `focus`.
    fn push_line(&mut self, start: usize, line: &str, focus: usize) {
        let body = line.trim_end_matches('\n');
        if body.len() <= LONG_LINE {
            self.text += line;
            return;
        }
        let from = line.floor_char_boundary(focus.saturating_sub(AROUND));
        let to = line.floor_char_boundary((focus + AROUND).min(body.len()));
        self.cut_out(start, start + from);
        self.text += &line[from..to];
        self.cut_out(start + to, start + body.len());
        self.text += &line[body.len()..];
    }

    /// Notes that the script's bytes from `from` to `to` are not in the excerpt.
    fn cut_out(&mut self, from: usize, to: usize) {
        if from < to {
            self.cut.push((from, to));
            self.text += DOTS;
        }
    }

    fn annotations<'a>(&self, source: &SourceFile, diagnostic: &'a Diagnostic) -> Vec<Annotation<'a>> {
        let place = |kind: AnnotationKind, label: &'a Label| {
            let span = clamped(source, label.span).range();
            let (start, end) = (self.at(span.start), self.at(span.end));
            let annotation = kind.span(start..end.max(start));
            if label.text.is_empty() { annotation } else { annotation.label(clean(&label.text)) }
        };
        let secondary = diagnostic.secondary.iter().map(|label| place(AnnotationKind::Context, label));
        std::iter::once(place(AnnotationKind::Primary, &diagnostic.primary)).chain(secondary).collect()
    }

    /// Where the script's byte at `offset` is in the excerpt; the edge, when it was cut out.
    fn at(&self, offset: usize) -> usize {
        let mut at = offset;
        for &(from, to) in self.cut.iter().take_while(|&&(from, _)| from < offset) {
            at -= to.min(offset) - from;
            at += if to <= offset { DOTS.len() } else { 0 };
        }
        at
    }
}

/// `span`, within the text and between characters, whatever it was.
fn clamped(source: &SourceFile, span: Span) -> Span {
    let text = source.text();
    let start = text.floor_char_boundary(span.start as usize);
    let end = text.ceil_char_boundary((span.end as usize).min(text.len())).max(start);
    Span::new(start, end)
}

/// Says that something failed, and what to do about it.
pub fn error(text: &str, help: &[String]) {
    say(Level::ERROR, text, help);
}

/// Says that the machine refused what stands at `span` of the script, and what to do about it.
pub fn failure(source: &SourceFile, span: Span, text: &str, help: &[String]) {
    let diagnostic = Diagnostic { help: help.to_vec(), ..Diagnostic::error(Code(""), span, text) };
    to_stderr(&(render(source, &diagnostic, &stderr_renderer()) + "\n"));
}

/// Says something that must not be overlooked.
pub fn warning(text: &str) {
    say(Level::WARNING, text, &[]);
}

/// Says what the script has to say about itself, as bpftrace does, with the place of the call.
pub fn of_script(source: &SourceFile, span: Span, is_error: bool, text: &str) {
    let LineColumn { line, column } = source.line_column(span.start);
    let level = if is_error { "ERROR" } else { "WARNING" };
    to_stderr(&format!("{}:{line}:{column}: {level}: {text}\n", source.name()));
}

/// Says something that was asked for by `-v`.
pub fn note(text: &str) {
    say(Level::NOTE, text, &[]);
}

/// Says something of several lines, harmless already.
pub fn text(text: &str) {
    to_stderr(text);
}

/// `error: text`, then what to do, a line each.
fn say(level: Level<'_>, text: &str, help: &[String]) {
    let title = Group::with_title(level.primary_title(clean(text)));
    let mut text = stderr_renderer().render(&[title]) + "\n";
    for help in help {
        text += &format!("  help: {}\n", clean(help));
    }
    to_stderr(&text);
}

/// Text of the script or of the system, made harmless and readable line by line.
fn clean(text: &str) -> String {
    let mut out = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        out.extend_from_slice(if index == 0 { b"" } else { b"\n" });
        if line.len() <= LONG_LINE {
            push_escaped(&mut out, line.as_bytes());
        } else {
            push_escaped(&mut out, &line.as_bytes()[..line.floor_char_boundary(2 * AROUND)]);
            out.extend_from_slice(DOTS.as_bytes());
            push_escaped(&mut out, &line.as_bytes()[line.ceil_char_boundary(line.len() - AROUND)..]);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn stderr_renderer() -> Renderer {
    if colored() { Renderer::styled() } else { Renderer::plain() }
}

/// Colours only where somebody sees them and has not declined (no-color.org).
fn colored() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !no_color() && !dumb
}

/// Whether the user has declined colours (no-color.org).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Writes in one piece. Where stderr is closed there is nobody to tell.
fn to_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, diagnostic: &Diagnostic) -> String {
        render(&SourceFile::new("x.pf", text), diagnostic, &Renderer::plain())
    }

    fn unknown(start: usize, end: usize) -> Diagnostic {
        Diagnostic::error(Code("PF0201"), Span::new(start, end), "unknown builtin pidd")
    }

    #[test]
    fn a_diagnostic_shows_place_line_reason_and_help() {
        let text = "BEGIN {\n    printf(\"%d\", pidd);\n}\n";
        let diagnostic =
            unknown(25, 29).label("not a builtin").also(Span::new(12, 18), "in this call").help("did you mean pid");
        let expected = "\
x.pf:2:18: error[PF0201]: unknown builtin pidd
  |
2 |     printf(\"%d\", pidd);
  |     ------       ^^^^ not a builtin
  |     |
  |     in this call
  |
  = help: did you mean pid";
        assert_eq!(rendered(text, &diagnostic), expected);
    }

    #[test]
    fn long_lines_are_cut_around_what_is_wrong() {
        let text = format!("a\n{}pidd{}\nb\n", "x".repeat(5_000_000), "y".repeat(5_000_000));
        let output = rendered(&text, &unknown(5_000_002, 5_000_006));
        assert!(output.starts_with("x.pf:2:5000001: error"), "{output}");
        assert!(output.len() < 1000, "{} bytes", output.len());
        let (line, marks) =
            output.split_once("...xxx").and_then(|(_, rest)| rest.split_once('\n')).expect("a cut line");
        let place = line.find("pidd").expect("shown") + "2 | ...xxx".len();
        assert_eq!(marks.lines().next().and_then(|marks| marks.find("^^^^")), Some(place), "{output}");
    }

    #[test]
    fn places_outside_the_text_do_no_harm() {
        for (start, end) in [(3, 3), (2, 900), (900, 901), (0, 0), (1, 2)] {
            assert!(rendered("aé", &unknown(start, end)).contains("unknown builtin"), "{start}..{end}");
        }
        assert!(rendered("", &unknown(0, 0)).contains("unknown builtin"));
    }

    #[test]
    fn control_characters_of_the_script_do_not_reach_the_terminal() {
        let text = "BEGIN { \x1b[2J }";
        let diagnostic = Diagnostic::error(Code("PF0101"), Span::new(8, 9), "unexpected \x1b").label("\x1b");
        assert!(!rendered(text, &diagnostic).contains('\x1b'));
    }

    #[test]
    fn long_names_are_cut() {
        let diagnostic = Diagnostic { message: format!("nothing is called {}!", "é".repeat(1000)), ..unknown(0, 1) };
        let output = rendered("abc", &diagnostic);
        assert!(output.len() < 400 && output.contains("called éé") && output.contains("é...é"), "{output}");
        assert!(output.contains("é!\n"), "{output}");
    }

    #[test]
    fn errors_are_counted_and_warnings_are_not() {
        let source = SourceFile::new("x.pf", "abc");
        let warning = Diagnostic::warning(Code("PF0901"), Span::new(0, 1), "odd");
        assert_eq!(summary(&source, std::slice::from_ref(&warning)), "");
        assert_eq!(summary(&source, &[unknown(0, 1), warning]), "1 error in x.pf\n");
        assert_eq!(summary(&source, &vec![unknown(0, 1); 30]), "30 errors in x.pf, 10 not shown\n");
    }
}
