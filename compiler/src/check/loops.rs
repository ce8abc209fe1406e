//! Loops: over ranges, over maps, and written out.

use std::collections::HashMap;

use pfscript_grammar::{Diagnostic, ast};

use super::program::StmtKind;
use super::scope::MapLoop;
use super::types::{INT64, Type};
use super::{Checked, Checker, Reported};
use crate::catalog::codes;

/// The most rounds of a loop and copies of an unrolled body.
const MAX_ROUNDS: i64 = 1_000_000;
const MAX_COPIES: i64 = 100;

impl Checker<'_> {
    /// `for ($i : low..high)`: both ends are constants.
    pub(super) fn for_range(
        &mut self,
        var: &ast::Ident,
        low: &ast::Expr,
        high: &ast::Expr,
        body: &ast::Block,
    ) -> Checked<StmtKind> {
        let (low, high) =
            (self.constant_expr(low, "the start of the range"), self.constant_expr(high, "the end of the range"));
        self.probe.scopes.push(HashMap::new());
        let counter = self.probe.declare(&var.name, INT64, var.span);
        self.probe.read.insert(counter); // counting rounds is use enough
        self.probe.loops += 1;
        let body_stmts = self.block(body);
        self.probe.loops -= 1;
        self.probe.scopes.pop();
        let (low, high) = (low?, high?);
        match high.checked_sub(low) {
            Some(rounds) if rounds <= MAX_ROUNDS => {
                Ok(StmtKind::ForRange { var: counter, low, high, body: body_stmts })
            }
            _ => self.error(codes::TOO_LONG, var.span, format!("a loop has at most {MAX_ROUNDS} rounds")),
        }
    }

    /// `for ($kv : @m)`: `$kv` is the tuple of the key (itself a tuple if it has several parts) and
    /// the value.
    pub(super) fn for_map(&mut self, var: &ast::Ident, name: &ast::Ident, body: &ast::Block) -> Checked<StmtKind> {
        let map = self.map_named(name);
        let value = self.element_type(map, name.span)?;
        let key = match self.maps.key(map) {
            Some([]) => return self.loop_without_key(name),
            Some([only]) => only.clone(),
            Some(parts) => Type::Tuple(parts.to_vec()),
            None => return Err(Reported), // every use of it was refused
        };
        self.probe.open_map_loop(&var.name, Type::Tuple(vec![key, value]), var.span);
        let body = self.block(body);
        let MapLoop { var, outer, .. } = self.probe.close_map_loop();
        Ok(StmtKind::ForMap { map, var, outer, body })
    }

    fn loop_without_key<T>(&mut self, map: &ast::Ident) -> Checked<T> {
        let message = format!("@{} has no key, so there is nothing to go through", map.name);
        let diagnostic = Diagnostic::error(codes::KEY_SHAPE, map.span, message);
        Err(self.note(diagnostic.help("a loop runs for each element of a map with keys, `@m[key]`")))
    }

    /// `unroll (n)`: n is a constant.
    pub(super) fn unroll(&mut self, count: &ast::Expr, body: &ast::Block) -> Checked<StmtKind> {
        let around = self.probe.copies;
        let copies = self.positive_constant(count, "the number of copies");
        self.probe.copies = around.saturating_mul(copies.unwrap_or(1));
        let (all, body) = (self.probe.copies, self.block(body));
        self.probe.copies = around;
        if all <= MAX_COPIES {
            return Ok(StmtKind::Unroll { count: copies? as u32, body });
        }
        let message = format!("a body is written out at most {MAX_COPIES} times, this is {all}");
        let diagnostic = Diagnostic::error(codes::TOO_LONG, count.span, message);
        Err(self.note(diagnostic.help("`for ($i : 0..n) { ... }` runs it as often without copies")))
    }
}
