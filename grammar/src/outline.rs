//! A text's tokens with their brackets matched, and what is wrong with it at that level.
//!
//! Invariant: braces structure the text whatever else is wrong. A closing brace closes the
//! innermost open brace, whatever parentheses and brackets are still open between the two; these
//! are left to explain.rs, which knows where the grammar missed them.

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::limits::ENOUGH_ERRORS;
use crate::source::Span;
use crate::tokens::{Token, TokenKind, tokens};

/// A text seen as tokens and brackets.
pub(crate) struct Outline<'t> {
    /// The text.
    pub text: &'t str,
    /// Its tokens in order.
    pub tokens: Vec<Token>,
    /// Where its lines begin.
    line_starts: Vec<usize>,
    /// For each bracket the token that it forms a pair with.
    partners: Vec<Option<usize>>,
    /// What is wrong, and with which token.
    pub faults: Vec<(usize, Diagnostic)>,
}

impl<'t> Outline<'t> {
    /// Looks at `text`.
    pub(crate) fn new(text: &'t str) -> Self {
        let tokens: Vec<Token> = tokens(text).collect();
        let partners = vec![None; tokens.len()];
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut outline = Self { text, tokens, line_starts, partners, faults: Vec::new() };
        outline.find_foreign_characters();
        let lexical = !outline.faults.is_empty();
        outline.match_brackets(lexical);
        outline.faults.sort_by_key(|fault| fault.0);
        outline
    }

    /// The text of a token; empty past the last.
    pub(crate) fn text_of(&self, index: usize) -> &'t str {
        self.tokens.get(index).map_or("", |token| &self.text[token.start..token.end])
    }

    /// Where a token is; past the last, the end of the text.
    pub(crate) fn span_of(&self, index: usize) -> Span {
        match self.tokens.get(index) {
            Some(token) => Span::new(token.start, token.end),
            None => Span::new(self.text.len(), self.text.len()),
        }
    }

    /// The kind of a token, if there is one.
    pub(crate) fn kind_of(&self, index: usize) -> Option<TokenKind> {
        self.tokens.get(index).map(|token| token.kind)
    }

    /// The other bracket of a pair.
    pub(crate) fn partner(&self, index: usize) -> Option<usize> {
        self.partners.get(index).copied().flatten()
    }

    /// The first token that ends behind `at`.
    pub(crate) fn token_at(&self, at: usize) -> usize {
        self.tokens.partition_point(|token| token.end <= at)
    }

    fn find_foreign_characters(&mut self) {
        let mut last_line = None;
        for index in 0..self.tokens.len() {
            if self.faults.len() == ENOUGH_ERRORS {
                return;
            }
            let Some(diagnostic) = self.foreign_character(index) else { continue };
            // What follows on the same line mostly follows from the first.
            let line = self.line_start(index);
            if last_line.replace(line) != Some(line) {
                self.faults.push((index, diagnostic));
            }
        }
    }

    fn foreign_character(&self, index: usize) -> Option<Diagnostic> {
        let span = self.span_of(index);
        match self.tokens[index].kind {
            TokenKind::OpenStr => Some(
                Diagnostic::error(codes::STRING, span, "this string has no closing quote")
                    .help("end it with `\"` on the same line; a line break inside is written `\\n`"),
            ),
            TokenKind::OpenComment => {
                let opening = Span::new(span.start as usize, span.start as usize + 2);
                Some(Diagnostic::error(codes::COMMENT, opening, "this comment has no end").help("end it with `*/`"))
            }
            TokenKind::Unknown => Some(self.unknown_character(index, span)),
            _ => None,
        }
    }

    fn unknown_character(&self, index: usize, span: Span) -> Diagnostic {
        let character = self.text_of(index);
        if character == "#" {
            return self.preprocessor(index, span);
        }
        let shown = if character.chars().all(char::is_control) {
            character.escape_unicode().to_string()
        } else {
            character.into()
        };
        let error = Diagnostic::error(codes::CHARACTER, span, format!("the character `{shown}` has no meaning here"));
        match character {
            "“" | "”" | "„" | "«" | "»" => {
                error.help("this is a typographic quote: strings stand between straight ones, `\"`")
            }
            "'" | "‘" | "’" | "`" | "´" => error.help("strings stand between double quotes, `\"`"),
            "\u{A0}" | "\u{2007}" | "\u{202F}" | "\u{3000}" | "\u{200B}" | "\u{FEFF}" => error
                .help("this is a space of a special kind, as word processors write it: replace it with a plain one"),
            "–" | "—" | "−" => error.help("this is a typographic dash: the minus sign is `-`"),
            "\\" => {
                error.help("a backslash has a meaning only in a string; statements may break over lines without it")
            }
            _ => error.help("outside of strings and comments a script is written in ASCII"),
        }
    }

    fn preprocessor(&self, index: usize, span: Span) -> Diagnostic {
        let directive = self.text_of(index + 1);
        if !["include", "define", "ifdef", "ifndef", "if", "undef", "pragma"].contains(&directive) {
            return Diagnostic::error(codes::CHARACTER, span, "the character `#` has no meaning here")
                .help("a comment begins with `//`; `#!` counts only in the first line");
        }
        let whole = span.to(self.span_of(index + 1));
        let error = Diagnostic::error(
            codes::FOREIGN,
            whole,
            format!("`#{directive}` is not part of pfscript: there is no preprocessor"),
        );
        match directive {
            "include" => error.help("no headers are needed: the kernel's types are known from its BTF, as in `((struct task_struct *)curtask).pid`"),
            "define" => error.help("write a parameter for a constant: `param name = 10;`"),
            _ => error,
        }
    }

    fn match_brackets(&mut self, quiet: bool) {
        let mut open: Vec<usize> = Vec::new();
        let mut faults = Vec::new();
        for index in 0..self.tokens.len() {
            let kind = self.tokens[index].kind;
            match kind {
                TokenKind::Open => open.push(index),
                TokenKind::Close
                    if !self.close(index, &mut open) && self.text_of(index) == "}" && faults.len() < ENOUGH_ERRORS =>
                {
                    faults.push((index, self.never_opened(index)));
                }
                _ => {}
            }
        }
        open.retain(|&index| self.text_of(index) == "{");
        if let Some(&innermost) = open.last() {
            faults.push((innermost, self.never_closed(innermost)));
        }
        if !quiet {
            self.faults.append(&mut faults);
        }
    }

    /// Pairs a closing bracket with the innermost of its kind; `)` and `]` do not reach over a brace.
    fn close(&mut self, index: usize, open: &mut Vec<usize>) -> bool {
        let opening = opening_of(self.text_of(index));
        let reachable = open.iter().rposition(|&at| self.text_of(at) == "{" || self.text_of(at) == opening);
        let brace = open.iter().rposition(|&at| self.text_of(at) == "{");
        let partner = if opening == "{" { brace } else { reachable };
        match partner.filter(|&at| self.text_of(open[at]) == opening) {
            Some(at) => {
                self.partners[open[at]] = Some(index);
                self.partners[index] = Some(open[at]);
                open.truncate(at);
                true
            }
            None => false,
        }
    }

    fn never_opened(&self, index: usize) -> Diagnostic {
        let bracket = self.text_of(index);
        Diagnostic::error(codes::UNOPENED, self.span_of(index), format!("this `{bracket}` closes nothing"))
            .help(format!("remove it, or write the `{}` that it belongs to", opening_of(bracket)))
    }

    /// A closing bracket without its opening one.
    pub(crate) fn stray_closer(&self, index: usize) -> Option<Diagnostic> {
        let stray = self.kind_of(index)? == TokenKind::Close && self.partner(index).is_none();
        stray.then(|| self.never_opened(index))
    }

    fn never_closed(&self, open: usize) -> Diagnostic {
        let end = self.tokens.last().map_or(0, |token| token.end);
        let error = Diagnostic::error(codes::UNCLOSED, Span::new(end, end), "the script ends where `}` is missing");
        match self.suspect() {
            Some((opened, closed)) => error
                .also(self.span_of(opened), "perhaps this `{` lacks its `}`")
                .also(self.span_of(closed), "for this `}` stands in another column"),
            None => error.also(self.span_of(open), "this `{` is not closed"),
        }
        .help("write the missing `}`")
    }

    /// The first pair of braces of which the closing one begins a line indented otherwise than the
    /// line of the opening one.
    fn suspect(&self) -> Option<(usize, usize)> {
        (0..self.tokens.len()).filter(|&index| self.text_of(index) == "{").find_map(|open| {
            let close = self.partner(open)?;
            let (open_line, close_line) = (self.line_start(open), self.line_start(close));
            let begins_line = self.text[close_line..self.tokens[close].start].trim().is_empty();
            let differs = self.indentation(open_line) != self.indentation(close_line);
            (open_line != close_line && begins_line && differs).then_some((open, close))
        })
    }

    /// Whether token `index` is on a line of its own that is indented more than that of `other`.
    pub(crate) fn is_deeper(&self, index: usize, other: usize) -> bool {
        let (line, outer) = (self.line_start(index), self.line_start(other));
        let rest = self.indentation(line).strip_prefix(self.indentation(outer));
        line != outer && rest.is_some_and(|more| !more.is_empty())
    }

    /// Whether token `index` is the first of its line.
    pub(crate) fn begins_line(&self, index: usize) -> bool {
        index == 0 || self.line_start(index) != self.line_start(index - 1)
    }

    fn line_start(&self, index: usize) -> usize {
        let start = self.tokens[index].start;
        self.line_starts[self.line_starts.partition_point(|&line| line <= start) - 1]
    }

    fn indentation(&self, line_start: usize) -> &str {
        let line = &self.text[line_start..];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }
}

fn opening_of(bracket: &str) -> &'static str {
    match bracket {
        ")" => "(",
        "]" => "[",
        _ => "{",
    }
}

/// The bracket that closes `bracket`.
pub(crate) fn closing_of(bracket: &str) -> &'static str {
    match bracket {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}
