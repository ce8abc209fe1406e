//! One mistake in words: from where the grammar got stuck to what was probably meant.
//!
//! A mistake that newcomers make is one function here or in the submodules, from the [`Place`] to
//! its diagnostic if it is that mistake. The first that knows an answer gives it; if none does,
//! what was expected and what was found is said.

mod items;
mod statements;

use std::ops::Range;

use crate::codes;
use crate::diagnostic::{Code, Diagnostic};
use crate::outline::{Outline, closing_of};
use crate::parse_tree::Stuck;
use crate::source::Span;
use crate::tokens::TokenKind;

/// What a piece of a script is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// A parameter, map declaration or probe.
    Item,
    /// A statement.
    Statement,
}

/// Where the grammar got stuck, and in what.
pub(crate) struct Place<'o, 't> {
    outline: &'o Outline<'t>,
    level: Level,
    /// The tokens of the piece.
    piece: Range<usize>,
    /// The token that was not expected; it may be the one behind the piece.
    at: usize,
    expected: Vec<&'static str>,
}

type Mistake = fn(&Place<'_, '_>) -> Option<Diagnostic>;

/// Mistakes that can be made in any expression.
const IN_EXPRESSIONS: &[Mistake] = &[
    missing_name,
    wrong_bracket,
    wrong_operator,
    operator_in_words,
    sizeof,
    assignment_as_value,
    missing_semicolon,
    superfluous_comma,
    address_of,
    keyword_as_name,
];

/// What is wrong at `place`.
pub(crate) fn explain(place: &Place<'_, '_>) -> Diagnostic {
    let own = match place.level {
        Level::Item => items::MISTAKES,
        Level::Statement => statements::MISTAKES,
    };
    own.iter()
        .chain(IN_EXPRESSIONS)
        .find_map(|mistake| mistake(place))
        .unwrap_or_else(|| items::show_form(place, unexpected(place)))
}

impl<'o, 't> Place<'o, 't> {
    /// The place in the piece of `outline` made of the tokens `piece` where the grammar `stuck`.
    pub(crate) fn new(outline: &'o Outline<'t>, level: Level, piece: Range<usize>, stuck: Stuck) -> Self {
        let at = outline.token_at(stuck.at);
        Self { outline, level, piece, at, expected: stuck.expected }
    }

    /// The text of the token `ahead` of the start of the piece.
    fn nth(&self, ahead: usize) -> &'t str {
        self.outline.text_of(self.piece.start + ahead)
    }

    /// The first word of the piece.
    fn first(&self) -> &'t str {
        self.nth(0)
    }

    fn first_span(&self) -> Span {
        self.outline.span_of(self.piece.start)
    }

    /// The token that was not expected.
    fn found(&self) -> &'t str {
        self.outline.text_of(self.at)
    }

    fn found_span(&self) -> Span {
        self.outline.span_of(self.at)
    }

    fn found_kind(&self) -> Option<TokenKind> {
        self.outline.kind_of(self.at)
    }

    /// The last token that was fine; nothing at the start of the piece.
    fn previous(&self) -> Option<usize> {
        self.at.checked_sub(1).filter(|&at| at >= self.piece.start)
    }

    fn previous_text(&self) -> &'t str {
        self.previous().map_or("", |at| self.outline.text_of(at))
    }

    /// The empty place just behind the last token that was fine.
    fn gap(&self) -> Span {
        let end = self.previous().map_or(self.first_span().start, |at| self.outline.span_of(at).end);
        Span::new(end as usize, end as usize)
    }

    fn expects(&self, what: &str) -> bool {
        self.expected.contains(&what)
    }

    fn expects_operand(&self) -> bool {
        self.expects("an expression") || self.expects("an integer")
    }

    /// Whether the unexpected token begins a line of its own.
    fn on_new_line(&self) -> bool {
        let (from, to) = (self.gap().start as usize, self.found_span().start as usize);
        self.outline.text.get(from..to).is_some_and(|between| between.contains('\n'))
    }

    /// The innermost bracket of the piece that is open at the unexpected token.
    fn open_bracket(&self) -> Option<usize> {
        (self.piece.start..self.at).rev().find(|&index| {
            let is_open = self.outline.kind_of(index) == Some(TokenKind::Open);
            is_open && self.outline.partner(index).is_none_or(|close| close >= self.at)
        })
    }

    fn error(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.found_span(), message)
    }

    fn error_at_first(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.first_span(), message)
    }
}

/// Whether `word` is a letter or two away from `meant`.
fn resembles(word: &str, meant: &str) -> bool {
    let allowed = if meant.len() < 5 { 1 } else { 2 };
    word != meant && word.len() > 1 && strsim::osa_distance(word, meant) <= allowed
}

/// What was expected and what was found.
fn unexpected(place: &Place<'_, '_>) -> Diagnostic {
    let found = describe_found(place);
    match expectation(&place.expected) {
        Some(expected) => place.error(codes::UNEXPECTED, format!("expected {expected}, found {found}")),
        None => place.error(codes::UNEXPECTED, format!("{found} makes no sense here")),
    }
}

fn describe_found(place: &Place<'_, '_>) -> String {
    match place.found() {
        "" => "the end of the script".into(),
        text if text.len() > 40 => format!("`{}...`", text.chars().take(30).collect::<String>()),
        text => format!("`{text}`"),
    }
}

/// `a`, `a or b`, `a, b or c`; what merely could have followed goes where something has to.
fn expectation(expected: &[&'static str]) -> Option<String> {
    const CLOSERS: [&str; 6] = ["`;`", "`)`", "`]`", "`{`", "`}`", "`of`"];
    const OPTIONAL: [&str; 5] = ["`(`", "`=`", "`:`", "`..`", "a string"];
    let closes = expected.iter().any(|words| CLOSERS.contains(words));
    let mut list: Vec<&str> = expected.iter().copied().filter(|words| !(closes && OPTIONAL.contains(words))).collect();
    if list.contains(&"an expression") {
        list.retain(|words| *words == "an expression" || CLOSERS.contains(words));
    }
    let last = list.pop()?;
    Some(if list.is_empty() { last.to_owned() } else { format!("{} or {last}", list.join(", ")) })
}

/// `$`, `@1`: a sigil whose name is none.
fn missing_name(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let token = place.outline.tokens.get(place.at)?;
    let name = place.found().get(1..)?;
    match token.kind {
        TokenKind::Dollar if name.is_empty() => {
            Some(place.error(codes::UNEXPECTED, "`$` lacks the name of a variable"))
        }
        TokenKind::At | TokenKind::Dollar if name.starts_with(|c: char| c.is_ascii_digit()) => {
            let message = format!("`{name}` is not a name");
            Some(place.error(codes::UNEXPECTED, message).help("a name begins with a letter or `_`"))
        }
        _ => None,
    }
}

/// `f(1;`, `@m[1)`, `$x = 1);`
fn wrong_bracket(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let stray = place.outline.stray_closer(place.at);
    let Some(open) = place.open_bracket().filter(|&open| place.outline.partner(open).is_none()) else { return stray };
    let bracket = place.outline.text_of(open);
    let closing = closing_of(bracket);
    place.expected.iter().any(|words| words.trim_matches('`') == closing).then(|| {
        let message = format!("expected `{closing}`, found {}", describe_found(place));
        place
            .error(codes::UNCLOSED, message)
            .also(place.outline.span_of(open), format!("this `{bracket}` is not closed"))
            .help(format!("write the missing `{closing}`"))
    })
}

/// Operators of other languages.
fn wrong_operator(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let (meant, span) = match (place.previous_text(), place.found()) {
        (_, "===") => ("==", place.found_span()),
        (_, "!==") => ("!=", place.found_span()),
        (_, ":=") => ("=", place.found_span()),
        (_, "=") if place.outline.text_of(place.at + 1) == ">" => {
            (">=", place.found_span().to(place.outline.span_of(place.at + 1)))
        }
        ("<", ">") => ("!=", place.outline.span_of(place.at - 1).to(place.found_span())),
        ("=", "<" | ">") if place.expects_operand() => {
            (if place.found() == "<" { "<=" } else { ">=" }, place.outline.span_of(place.at - 1).to(place.found_span()))
        }
        _ => return None,
    };
    let written = &place.outline.text[span.range()];
    Some(
        Diagnostic::error(codes::FOREIGN, span, format!("`{written}` is not an operator"))
            .help(format!("write `{meant}`")),
    )
}

/// `and`, `or`, `not`, `is`, `mod`.
fn operator_in_words(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let spelt = |word: &str| match word {
        "and" => Some("&&"),
        "or" => Some("||"),
        "is" => Some("=="),
        "mod" => Some("%"),
        _ => None,
    };
    let (index, meant) = match (spelt(place.found()), place.previous()) {
        (Some(meant), Some(_)) if !place.expects_operand() => (place.at, meant),
        (_, Some(previous)) if place.previous_text() == "not" => (previous, "!"),
        // `(a) and b` begins like a cast of `and`.
        (_, Some(previous)) if place.outline.text_of(previous.wrapping_sub(1)) == ")" => {
            (previous, spelt(place.previous_text())?)
        }
        _ => return None,
    };
    let word = place.outline.text_of(index);
    let error = Diagnostic::error(codes::FOREIGN, place.outline.span_of(index), format!("`{word}` is not an operator"));
    let error = error.help(format!("write `{meant}`"));
    Some(if word == "or" { error.help("`or` stands between the attach points of a probe") } else { error })
}

fn sizeof(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let callee = place.at.checked_sub(2)?;
    let name = place.outline.text_of(callee);
    let is_one = place.previous_text() == "(" && ["sizeof", "offsetof"].contains(&name);
    is_one.then(|| {
        let message = format!("`{name}` is not part of pfscript");
        Diagnostic::error(codes::FOREIGN, place.outline.span_of(callee), message)
            .help("fields are reached by their names: `((struct task_struct *)curtask).pid`")
    })
}

/// `if ($x = 1)`, `$a = $b = 1`.
fn assignment_as_value(place: &Place<'_, '_>) -> Option<Diagnostic> {
    const ASSIGNMENTS: [&str; 11] = ["=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|="];
    let op = place.found();
    if place.level == Level::Item && ["param", "let"].contains(&place.first()) {
        return None;
    }
    if !ASSIGNMENTS.contains(&op) || place.expects_operand() || place.expects("a name") || place.previous().is_none() {
        return None;
    }
    if place.first() == "emit" {
        return Some(
            place.error(codes::ASSIGNMENT, "a field of `emit` has a bare name").help("write `emit(name = value)`"),
        );
    }
    let condition = ["if", "every", "unroll"].contains(&place.first())
        || place.open_bracket().is_some()
        || place.level == Level::Item;
    let error = place.error(codes::ASSIGNMENT, format!("`{op}` assigns, but a value is needed here"));
    Some(match op {
        "=" if condition => error.help("write `==` to compare"),
        _ if condition => error.help("assign in a statement before this one"),
        _ => error.help("an assignment is a statement and has no value: write two statements"),
    })
}

/// A statement that goes on into the next.
fn missing_semicolon(place: &Place<'_, '_>) -> Option<Diagnostic> {
    use TokenKind::{At, Close, Dollar, Number, Str, Word};
    let previous = place.outline.kind_of(place.previous()?)?;
    let ends =
        matches!(previous, Word | Dollar | At | Number | Str | Close) || ["++", "--"].contains(&place.previous_text());
    let begins =
        matches!(place.found_kind(), None | Some(Word | Dollar | At)) || place.found() == "}" || place.on_new_line();
    (place.level == Level::Statement && place.expects("`;`") && ends && begins).then(|| {
        Diagnostic::error(codes::SEMICOLON, place.gap(), format!("expected `;`, found {}", describe_found(place)))
            .help("a `;` ends this statement")
    })
}

/// `f(a, )`
fn superfluous_comma(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let is_one = place.previous_text() == "," && [")", "]", "{"].contains(&place.found());
    is_one.then(|| {
        let comma = place.outline.span_of(place.at - 1);
        Diagnostic::error(codes::UNEXPECTED, comma, format!("something is missing between `,` and `{}`", place.found()))
            .help("remove the comma, or write what is to follow it")
    })
}

fn address_of(place: &Place<'_, '_>) -> Option<Diagnostic> {
    (place.found() == "&" && place.expects_operand()).then(|| {
        place.error(codes::FOREIGN, "there is no address-of operator").help("`&` is the bitwise and of two values")
    })
}

/// A reserved word where a name or value is needed.
fn keyword_as_name(place: &Place<'_, '_>) -> Option<Diagnostic> {
    const RESERVED: [&str; 10] =
        ["if", "else", "for", "while", "unroll", "return", "break", "continue", "let", "struct"];
    let word = place.found();
    let wanted = place.expects_operand() || place.expects("a name");
    (RESERVED.contains(&word) && wanted && place.previous().is_some()).then(|| {
        place
            .error(codes::UNEXPECTED, format!("`{word}` is a keyword, not a name"))
            .help(format!("choose another name, for example `{word}_`"))
    })
}
