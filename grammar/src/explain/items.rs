//! Mistakes outside of probes' bodies.

use super::{Level, Mistake, Place, describe_found, resembles};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::tokens::TokenKind;

pub(super) const MISTAKES: &[Mistake] = &[
    stray_semicolon,
    config_block,
    c_definition,
    function_definition,
    variable_declaration,
    misspelt_keyword,
    statement_outside,
    open_range,
    name_with_sigil,
    required_semicolon,
    attach_point_in_pieces,
    operator_between_probes,
    parenthesised_predicate,
    unfinished_predicate,
    missing_body,
];

fn stray_semicolon(place: &Place<'_, '_>) -> Option<Diagnostic> {
    (place.first() == ";").then(|| {
        place
            .error_at_first(codes::UNEXPECTED, "this `;` ends nothing")
            .help("no `;` follows the `}` of a probe: remove it")
    })
}

fn config_block(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let is_config = place.first() == "config" && ["=", "{"].contains(&place.nth(1));
    is_config.then(|| {
        place
            .error_at_first(codes::FOREIGN, "bpftrace's `config` block is not part of pfscript")
            .help("`let @m = hash(65536);` sets the size of a map, options of the command line do the rest (see `pfscript --help`)")
    })
}

fn c_definition(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let word = place.first();
    ["struct", "union", "enum", "typedef"].contains(&word).then(|| {
        place
            .error_at_first(codes::FOREIGN, format!("C definitions such as this `{word}` are not part of pfscript"))
            .help("none are needed: the kernel's types are known from its BTF, as in `((struct task_struct *)curtask).pid`")
    })
}

fn function_definition(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let word = place.first();
    let is_definition = ["fn", "macro", "function", "def", "func", "sub", "import"].contains(&word)
        && place
            .outline
            .kind_of(place.piece.start + 1)
            .is_some_and(|kind| matches!(kind, TokenKind::Word | TokenKind::Str));
    is_definition.then(|| {
        place
            .error_at_first(
                codes::FOREIGN,
                format!("`{word}` is not part of pfscript: scripts define no functions and import none"),
            )
            .help("a script is made of `param`s, map declarations and probes")
    })
}

/// `let $x = 1;`
fn variable_declaration(place: &Place<'_, '_>) -> Option<Diagnostic> {
    (place.first() == "let" && !place.nth(1).starts_with('@')).then(|| {
        place
            .error(codes::OUTSIDE, "outside of a probe, `let` declares a map")
            .help("write `let @m = hash(65536);` here, and `let $x = ...;` inside the braces of a probe")
            .help("a constant of the whole script is a parameter: `param name = 10;`")
    })
}

/// `pram x: uint64;`
fn misspelt_keyword(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let word = place.first();
    let next = place.outline.kind_of(place.piece.start + 1)?;
    let meant = match next {
        TokenKind::Word => "param",
        TokenKind::At => "let",
        _ => return None,
    };
    (resembles(word, meant) || word.eq_ignore_ascii_case(meant) && word != meant).then(|| {
        place.error_at_first(codes::SPELLING, format!("unknown keyword `{word}`")).help(format!("write `{meant}`"))
    })
}

/// `@x = 1;`, `printf("...");`, `if ...`
fn statement_outside(place: &Place<'_, '_>) -> Option<Diagnostic> {
    const KEYWORDS: [&str; 10] =
        ["if", "for", "while", "every", "unroll", "return", "emit", "else", "break", "continue"];
    let starts_statement = match place.outline.kind_of(place.piece.start)? {
        TokenKind::At | TokenKind::Dollar => true,
        TokenKind::Word => ["(", "=", "++"].contains(&place.nth(1)) || KEYWORDS.contains(&place.first()),
        TokenKind::Open => place.first() == "{",
        _ => ["++", "--"].contains(&place.first()),
    };
    starts_statement.then(|| {
        let what = if place.first() == "{" { "this block" } else { "this statement" };
        place
            .error_at_first(codes::OUTSIDE, format!("{what} belongs to no probe"))
            .help("say when it is to run: `BEGIN { ... }` at the start, `interval:s:1 { ... }` each second, `kprobe:NAME { ... }` at each call")
    })
}

/// `in 1..9`
fn open_range(place: &Place<'_, '_>) -> Option<Diagnostic> {
    if place.first() != "param" {
        return None;
    }
    let dots = place.piece.clone().find(|&index| place.outline.text_of(index) == "..")?;
    let bounded = place.outline.kind_of(dots + 1) == Some(TokenKind::Number) || place.outline.text_of(dots + 1) == "-";
    (bounded && place.at <= dots + 1).then(|| {
        Diagnostic::error(codes::UNEXPECTED, place.outline.span_of(dots), "a parameter's range holds both its ends")
            .help("write it with `..=`, as in `1..=9`")
    })
}

/// `param $x`, `param @x`
fn name_with_sigil(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let sigil = matches!(place.found_kind()?, TokenKind::At | TokenKind::Dollar);
    (place.first() == "param" && place.at == place.piece.start + 1 && sigil).then(|| {
        let bare = &place.found()[1..];
        place.error(codes::SIGIL, "a parameter's name has neither `$` nor `@`").help(format!("write `param {bare}`"))
    })
}

/// A declaration that goes on into the next item.
fn required_semicolon(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let is_declaration = ["param", "let"].contains(&place.first());
    let goes_on = place.on_new_line() || place.found_kind().is_none();
    let complete = place.previous()? > place.piece.start
        && !["=", ":", "in", ".", "(", "-", "..="].contains(&place.previous_text());
    (is_declaration && goes_on && complete && place.expects("`;`")).then(|| {
        Diagnostic::error(codes::SEMICOLON, place.gap(), format!("expected `;`, found {}", describe_found(place)))
            .help("a `;` ends this declaration")
    })
}

/// `kprobe: f`, `kprobe :f`
fn attach_point_in_pieces(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let index = if place.previous_text() == ":" { place.previous()? } else { place.at };
    let colon = place.outline.text_of(index) == ":" && index > place.piece.start;
    if !colon || ["param", "let"].contains(&place.first()) || place.outline.text_of(place.piece.start + 1) == "?" {
        return None;
    }
    let (before, after) = (place.outline.text_of(index - 1), place.outline.text_of(index + 1));
    let error = Diagnostic::error(codes::UNEXPECTED, place.outline.span_of(index), "this `:` joins nothing");
    Some(error.help(match place.outline.kind_of(index + 1) {
        Some(TokenKind::Word | TokenKind::Number | TokenKind::Str) => {
            format!("an attach point has no spaces: write `{before}:{after}`")
        }
        _ => "a colon joins the parts of an attach point, as in `tracepoint:sched:sched_switch`".into(),
    }))
}

/// `kprobe:a && kprobe:b`
fn operator_between_probes(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let is_one = ["&&", "||", "|", "&", "+", "and"].contains(&place.found())
        && place.expects("`{`")
        && place.open_bracket().is_none();
    is_one.then(|| {
        place
            .error(codes::FOREIGN, format!("attach points are not joined by `{}`", place.found()))
            .help("write `,` to attach to all of them, `or` to attach to the first that this kernel offers")
    })
}

/// `kprobe:f (pid == 1) { }`, `kprobe:f if (pid == 1) { }`
fn parenthesised_predicate(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let is_one = ["(", "if", "when"].contains(&place.found()) && place.expects("`{`") && place.previous().is_some();
    (is_one && !["param", "let"].contains(&place.first())).then(|| {
        let error = place.error(codes::FOREIGN, format!("expected `{{`, found {}", describe_found(place)));
        error.help("a condition on the whole probe stands between slashes: `kprobe:f /pid == 1/ { ... }`")
    })
}

/// `kprobe:f /pid == 1 { }`
fn unfinished_predicate(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let ends = place.found() == "{" || place.found_kind().is_none();
    let in_predicate = place.expected.iter().any(|words| words.starts_with("`/`"));
    (ends && in_predicate).then(|| {
        Diagnostic::error(codes::UNEXPECTED, place.gap(), format!("expected `/`, found {}", describe_found(place)))
            .help("a predicate ends with a slash too: `/pid == 1/ { ... }`")
    })
}

/// `kprobe:f` and then something else than a block.
fn missing_body(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let previous = place.previous()?;
    let is_header =
        !["param", "let"].contains(&place.first()) && place.expects("`{`") && place.open_bracket().is_none();
    let ends = place.found() == ";" || place.found_kind().is_none() || place.on_new_line();
    (is_header && ends).then(|| {
        let header: Span = place.first_span().to(place.outline.span_of(previous));
        Diagnostic::error(codes::BRACES, header, "this probe has no body")
            .help("what it is to do follows in braces: `{ @count[pid]++; }`")
    })
}

/// Adds how a declaration is written to what is wrong in one.
pub(super) fn show_form(place: &Place<'_, '_>, diagnostic: Diagnostic) -> Diagnostic {
    let form = match (place.level, place.first()) {
        (Level::Item, "param") => {
            "`param name: type = default in low..=high \"help\";`, of which only the name is required"
        }
        (Level::Item, "let") => "`let @m = hash(65536);`",
        _ => return diagnostic,
    };
    diagnostic.help(format!("it is written {form}"))
}
