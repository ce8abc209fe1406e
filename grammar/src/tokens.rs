//! A flat look at a text: its words, numbers, strings and marks, without their grammar.
//!
//! Used where the grammar cannot help: to bound the nesting before pest runs, and to find out what
//! went wrong where it got stuck. It never fails; what is no token is [`TokenKind::Unknown`].

use crate::limits::MAX_DEPTH;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A name or keyword.
    Word,
    /// `$x`, `$1`, `$#`.
    Dollar,
    /// `@m`, `@`.
    At,
    /// Begins with a digit.
    Number,
    /// A string with both its quotes.
    Str,
    /// A string that ends with its line.
    OpenStr,
    /// A comment that does not end.
    OpenComment,
    /// `(`, `[`, `{`.
    Open,
    /// `)`, `]`, `}`.
    Close,
    /// An operator or other punctuation.
    Mark,
    /// No part of the language.
    Unknown,
}

/// A token and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

/// Marks of more than one character, longest first.
const MARKS: [&str; 27] = [
    "<<=", ">>=", "..=", "===", "!==", "++", "--", "->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=",
    "*=", "/=", "%=", "&=", "^=", "|=", "..", ":=", "::",
];

/// The tokens of `text` in order, without layout and comments.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = Token> + '_ {
    let mut lexer = Lexer { text, at: header_length(text), braces: 0 };
    std::iter::from_fn(move || lexer.next_token())
}

/// The length of a byte order mark and a `#!` line.
pub(crate) fn header_length(text: &str) -> usize {
    let mark = if text.starts_with('\u{FEFF}') { '\u{FEFF}'.len_utf8() } else { 0 };
    if text[mark..].starts_with("#!") { mark + line_length(&text[mark..]) } else { mark }
}

fn line_length(text: &str) -> usize {
    text.find(['\n', '\r']).unwrap_or(text.len())
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Open braces: outside of them a path may follow a colon.
    braces: usize,
}

impl Lexer<'_> {
    fn next_token(&mut self) -> Option<Token> {
        let open_comment = self.skip_layout();
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        let (kind, length) =
            if open_comment { (TokenKind::OpenComment, rest.len()) } else { self.classify(rest, first) };
        let token = Token { kind, start: self.at, end: self.at + length };
        match first {
            '{' => self.braces += 1,
            '}' => self.braces = self.braces.saturating_sub(1),
            _ => {}
        }
        self.at = token.end;
        Some(token)
    }

    /// Skips layout and comments; stops at a comment that does not end and says so.
    fn skip_layout(&mut self) -> bool {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{0B}', '\u{0C}']).len();
            let comment = if blank > 0 {
                Some(blank)
            } else if rest.starts_with("//") {
                Some(line_length(rest))
            } else if let Some(inside) = rest.strip_prefix("/*") {
                match inside.find("*/") {
                    Some(length) => Some(length + 4),
                    None => return true,
                }
            } else {
                None
            };
            match comment {
                Some(length) => self.at += length,
                None => return false,
            }
        }
    }

    fn classify(&self, rest: &str, first: char) -> (TokenKind, usize) {
        match first {
            'A'..='Z' | 'a'..='z' | '_' => (TokenKind::Word, word_length(rest)),
            '0'..='9' => (TokenKind::Number, word_length(rest)),
            '$' if rest[1..].starts_with('#') => (TokenKind::Dollar, 2),
            '$' => (TokenKind::Dollar, 1 + word_length(&rest[1..])),
            '@' => (TokenKind::At, 1 + word_length(&rest[1..])),
            '"' => string_token(rest),
            '(' | '[' | '{' => (TokenKind::Open, 1),
            ')' | ']' | '}' => (TokenKind::Close, 1),
            ':' if self.braces == 0 => (TokenKind::Mark, 1 + path_length(&rest[1..])),
            _ => mark_token(rest, first),
        }
    }
}

fn word_length(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

/// The length of a path at the start of a part of an attach point.
fn path_length(text: &str) -> usize {
    if !["/", "./", "../"].iter().any(|start| text.starts_with(start)) {
        return 0;
    }
    let in_path = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "_*?.+-[]!$@%~/".contains(c);
    text.find(|c| !in_path(c)).unwrap_or(text.len())
}

fn string_token(text: &str) -> (TokenKind, usize) {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return (TokenKind::Str, at + 1),
            b'\n' | b'\r' => break,
            b'\\' if !matches!(bytes.get(at + 1), None | Some(b'\n' | b'\r')) => at += 2,
            _ => at += 1,
        }
    }
    // A backslash may have led into a character of several bytes.
    (TokenKind::OpenStr, (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len()))
}

fn mark_token(text: &str, first: char) -> (TokenKind, usize) {
    if let Some(mark) = MARKS.iter().find(|&&mark| text.starts_with(mark)) {
        return (TokenKind::Mark, mark.len());
    }
    let known = "+-*/%<>=!~&|^?:;,.".contains(first);
    (if known { TokenKind::Mark } else { TokenKind::Unknown }, first.len_utf8())
}

/// Where the text nests deeper than [`MAX_DEPTH`], counting brackets and pending `?`.
pub(crate) fn too_deep(text: &str) -> Option<Token> {
    // One entry per open bracket: how many `?` wait inside of it for the end of their arm.
    let mut pending = vec![0_u32];
    let mut depth = 0_u32;
    for token in tokens(text) {
        match (token.kind, &text[token.start..token.end]) {
            (TokenKind::Open, _) => {
                pending.push(0);
                depth += 1;
            }
            (TokenKind::Close, _) => {
                depth -= pending.pop().unwrap_or(0);
                depth = depth.saturating_sub(1);
                if pending.is_empty() {
                    pending.push(0);
                }
            }
            (TokenKind::Mark, "?") => {
                *pending.last_mut()? += 1;
                depth += 1;
            }
            (TokenKind::Mark, ":") => {
                let last = pending.last_mut()?;
                depth -= u32::from(*last > 0);
                *last = last.saturating_sub(1);
            }
            (TokenKind::Mark, ";" | ",") => depth -= std::mem::take(pending.last_mut()?),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Some(token);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).map(|token| &text[token.start..token.end]).collect()
    }

    #[test]
    fn layout_and_comments_are_no_tokens() {
        assert_eq!(texts("#!/bin/x\n a // b\n/* c */ $d @e 1ms \"//\" +="), ["a", "$d", "@e", "1ms", "\"//\"", "+="]);
    }

    #[test]
    fn a_path_hides_what_looks_like_a_comment() {
        assert_eq!(texts("u:/lib/*/x:f { a /* b */ }"), ["u", ":/lib/*/x", ":", "f", "{", "a", "}"]);
        assert_eq!(texts("{ a ? b :/* c */ d }"), ["{", "a", "?", "b", ":", "d", "}"]);
    }

    #[test]
    fn what_does_not_end_is_a_token_of_its_own() {
        let kinds = |text| tokens(text).map(|token| token.kind).collect::<Vec<_>>();
        assert_eq!(kinds("\"a\\\nb"), [TokenKind::OpenStr, TokenKind::Word]);
        assert_eq!(kinds("\"a\\é"), [TokenKind::OpenStr]);
        assert_eq!(kinds("a /* b"), [TokenKind::Word, TokenKind::OpenComment]);
    }

    #[test]
    fn depth_counts_brackets_and_pending_questions() {
        let most = MAX_DEPTH as usize;
        assert_eq!(too_deep(&"(".repeat(most)), None);
        assert!(too_deep(&"(".repeat(most + 1)).is_some());
        assert!(too_deep(&"a ? ".repeat(most + 1)).is_some());
        assert_eq!(too_deep(&"a ? b : ".repeat(most * 2)), None);
        assert_eq!(too_deep(&"(a ? b) ; c ? d, ".repeat(most * 2)), None);
    }
}
