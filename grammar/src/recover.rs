//! What is wrong with a text that the grammar refused: all of it, not only the first.
//!
//! The text is cut into items at its braces, and the items that fail into statements, each of
//! which is then parsed alone. A piece that fails tells of one mistake; the next piece begins
//! afresh. Pieces with a broken bracket, string or character are told of as such, and no more.

use std::ops::Range;

use crate::build_ast::Builder;
use crate::diagnostic::Diagnostic;
use crate::explain::{Level, Place, explain};
use crate::limits::{ENOUGH_ERRORS, told};
use crate::outline::Outline;
use crate::parse_tree::{Rule, Stuck, parse_tree};

/// The mistakes in `text`, at which the grammar `stuck`, in the order of the text; never empty.
pub(crate) fn mistakes(text: &str, stuck: Stuck) -> Vec<Diagnostic> {
    let outline = Outline::new(text);
    let mut recovery = Recovery { outline: &outline, found: Vec::new(), budget: 4 * text.len() };
    recovery.found.extend(outline.faults.iter().map(|fault| fault.1.clone()));
    recovery.items();
    let mut found = recovery.found;
    if found.is_empty() {
        found.push(explain(&Place::new(&outline, Level::Item, 0..outline.tokens.len(), stuck)));
    }
    found.sort_by_key(|diagnostic| diagnostic.primary.span);
    found.dedup_by_key(|diagnostic| diagnostic.primary.span);
    told(found)
}

struct Recovery<'o, 't> {
    outline: &'o Outline<'t>,
    found: Vec<Diagnostic>,
    /// How many bytes may still be parsed again: pieces of pieces must not add up to a long wait.
    budget: usize,
}

impl Recovery<'_, '_> {
    fn items(&mut self) {
        let end = self.outline.tokens.len();
        let mut start = 0;
        while start < end && self.found.len() < ENOUGH_ERRORS {
            let next = self.piece_end(start, end, Level::Item);
            start = match self.never_closed_in(start..next) {
                Some(open) => self.open_block(open),
                None => {
                    self.piece(start..next, Level::Item);
                    next
                }
            };
        }
    }

    /// Looks into the block of a brace that is never closed, as far as its lines are indented more
    /// than the line that opens it. Behind them is what the missing brace would have been in front
    /// of: that token is the answer.
    fn open_block(&mut self, open: usize) -> usize {
        let (outline, end) = (self.outline, self.outline.tokens.len());
        let mut start = open + 1;
        while start < end && self.found.len() < ENOUGH_ERRORS && outline.is_deeper(start, open) {
            let next = self.piece_end(start, end, Level::Statement);
            start = match self.never_closed_in(start..next) {
                Some(inner) => self.open_block(inner),
                None => {
                    self.piece(start..next, Level::Statement);
                    next
                }
            };
        }
        (start..end).find(|&at| outline.begins_line(at) && !outline.is_deeper(at, open)).unwrap_or(end)
    }

    fn never_closed_in(&self, mut tokens: Range<usize>) -> Option<usize> {
        tokens.find(|&at| self.outline.text_of(at) == "{" && self.outline.partner(at).is_none())
    }

    fn statements(&mut self, tokens: Range<usize>) {
        let mut start = tokens.start;
        while start < tokens.end && self.found.len() < ENOUGH_ERRORS {
            let next = self.piece_end(start, tokens.end, Level::Statement);
            self.piece(start..next, Level::Statement);
            start = next;
        }
    }

    /// Just behind the piece that begins at token `start`: behind its `;` or its last block.
    fn piece_end(&self, start: usize, end: usize, level: Level) -> usize {
        let outline = self.outline;
        let mut at = start;
        while at < end {
            let last = outline.partner(at).filter(|&close| close > at).unwrap_or(at);
            at = last + 1;
            let goes_on = level == Level::Statement && outline.text_of(at) == "else";
            if [";", "}"].contains(&outline.text_of(last)) && !goes_on {
                return self.behind_definition(start, at).min(end);
            }
        }
        end
    }

    /// The semicolon of C behind `struct x { ... }` belongs to it.
    fn behind_definition(&self, start: usize, at: usize) -> usize {
        let is_definition = ["struct", "union", "enum", "typedef"].contains(&self.outline.text_of(start));
        at + usize::from(is_definition && self.outline.text_of(at) == ";" && self.outline.text_of(at - 1) == "}")
    }

    fn piece(&mut self, tokens: Range<usize>, level: Level) {
        let outline = self.outline;
        let (Some(first), Some(last)) = (outline.tokens.get(tokens.start), outline.tokens.get(tokens.end - 1)) else {
            return;
        };
        let text = &outline.text[first.start..last.end];
        if text.len() > self.budget {
            return;
        }
        self.budget -= text.len();
        let (base, faulty) = (first.start, self.has_fault(&tokens));
        match parse_tree(level.entry(), text) {
            Ok(pairs) => {
                let builder = Builder::new(base);
                level.build(&builder, pairs);
                self.found.append(&mut builder.into_errors());
            }
            Err(stuck) => self.stuck(tokens, level, Stuck { at: base + stuck.at, ..stuck }, faulty),
        }
    }

    fn has_fault(&self, tokens: &Range<usize>) -> bool {
        self.outline.faults.iter().any(|fault| tokens.contains(&fault.0))
    }

    /// Looks closer at a piece that is wrong: into the block where the grammar stuck, if it is one.
    fn stuck(&mut self, tokens: Range<usize>, level: Level, stuck: Stuck, faulty: bool) {
        let before = self.found.len();
        if let Some(inside) = self.block_around(&tokens, stuck.at) {
            self.statements(inside);
        }
        if self.found.len() == before && !faulty {
            self.found.push(explain(&Place::new(self.outline, level, tokens, stuck)));
        }
    }

    /// The tokens inside the outermost braces in `tokens` that hold the byte `at`.
    fn block_around(&self, tokens: &Range<usize>, at: usize) -> Option<Range<usize>> {
        let outline = self.outline;
        let mut index = tokens.start;
        while index < tokens.end && outline.tokens[index].start < at {
            let close = outline.partner(index).filter(|&close| close > index);
            if let Some(close) =
                close.filter(|&close| outline.text_of(index) == "{" && at <= outline.tokens[close].start)
            {
                return Some(index + 1..close);
            }
            index = close.filter(|_| outline.text_of(index) == "{").unwrap_or(index) + 1;
        }
        None
    }
}

impl Level {
    fn entry(self) -> Rule {
        match self {
            Self::Item => Rule::lone_item,
            Self::Statement => Rule::lone_statement,
        }
    }

    fn build(self, builder: &Builder, mut pairs: pest::iterators::Pairs<'_, Rule>) {
        let Some(root) = pairs.next() else { return };
        match self {
            Self::Item => drop(builder.script(root)),
            Self::Statement => drop(builder.statements(root.into_inner())),
        }
    }
}
