//! Whom a script sees: with `-p` and `-c` its probes run for some processes only.
//!
//! The limit is written in the language itself, as one more condition before a probe's own. Of a
//! command, what it starts is known by a map that the script cannot name: each process that is made
//! enters or leaves it by its parent, so whoever had its number before does not matter.

use pfscript_grammar::{Span, ast};

use super::Checker;
use crate::artifact::Traced;
use crate::catalog::probe_kinds::is_of_current_process;
use crate::manifest::{AttachSpec, STARTED_MAP as STARTED};

/// How many of them there may be.
const MOST_STARTED: u64 = 131_072;

impl Checker<'_> {
    /// The condition under which the body of a probe runs.
    pub(super) fn with_limit(&self, attach: &AttachSpec, span: Span, own: Option<&ast::Expr>) -> Option<ast::Expr> {
        let limit = is_of_current_process(attach).then(|| Writer(span).is_traced(self.traced)).flatten();
        match (limit, own) {
            (Some(limit), Some(own)) => Some(Writer(span).binary(ast::BinaryOp::And, limit, own.clone())),
            (limit, own) => limit.or_else(|| own.cloned()),
        }
    }

    /// What keeps account of the processes that the command starts, as a script of its own.
    pub(super) fn account_of_started(&self) -> ast::Script {
        let items = match self.traced {
            Traced::Command(_) => Writer(Span::default()).account(self.traced),
            Traced::All | Traced::Processes(_) => Vec::new(),
        };
        ast::Script { items }
    }
}

/// Writes syntax, all of it at one place of the script.
#[derive(Clone, Copy)]
struct Writer(Span);

impl Writer {
    /// Whether the current process is among the traced ones; nothing when all are.
    fn is_traced(self, traced: &Traced) -> Option<ast::Expr> {
        let is = |pid: &u32| self.binary(ast::BinaryOp::Eq, self.name("pid"), self.int(u64::from(*pid)));
        let any = |one, other| self.binary(ast::BinaryOp::Or, one, other);
        match traced {
            Traced::All => None,
            Traced::Processes(pids) => pids.iter().map(is).reduce(any),
            Traced::Command(pid) => {
                let args = [self.map(Vec::new()), self.name("pid")];
                Some(any(is(pid), self.call("has_key", args)))
            }
        }
    }

    /// `let @-c = hash(N); tracepoint:sched:sched_process_fork { if (traced) { @-c[child] = 1 } else { delete(@-c[child]) } }`
    fn account(self, traced: &Traced) -> Vec<ast::Item> {
        let kind = self.ident("hash");
        let size = Some(self.int(MOST_STARTED));
        let declaration = ast::MapDecl { name: self.ident(STARTED), kind, size, span: self.0 };
        let parts = vec![self.ident("sched"), self.ident("sched_process_fork")];
        let point = ast::AttachPoint { kind: self.ident("tracepoint"), parts, span: self.0 };
        let target = ast::Target { alternatives: vec![point], span: self.0 };
        let child = || vec![self.field("args", "child_pid")];
        let enters = ast::StmtKind::Assign { place: self.map(child()), op: None, value: self.int(1) };
        let leaves = ast::StmtKind::Expr(self.call("delete", [self.map(child())]));
        let decision = ast::StmtKind::If {
            cond: self.is_traced(traced).unwrap_or_else(|| self.int(1)),
            then: self.block(enters),
            otherwise: Some(self.block(leaves)),
        };
        let probe = ast::Probe { targets: vec![target], predicate: None, body: self.block(decision), span: self.0 };
        vec![ast::Item::MapDecl(declaration), ast::Item::Probe(probe)]
    }

    fn block(self, kind: ast::StmtKind) -> ast::Block {
        ast::Block { stmts: vec![ast::Stmt { kind, span: self.0 }], span: self.0 }
    }

    fn expr(self, kind: ast::ExprKind) -> ast::Expr {
        ast::Expr { kind, span: self.0 }
    }

    fn ident(self, name: &str) -> ast::Ident {
        ast::Ident { name: name.into(), span: self.0 }
    }

    fn int(self, value: u64) -> ast::Expr {
        self.expr(ast::ExprKind::Int(value))
    }

    fn name(self, name: &str) -> ast::Expr {
        self.expr(ast::ExprKind::Name(name.into()))
    }

    fn field(self, base: &str, field: &str) -> ast::Expr {
        self.expr(ast::ExprKind::Field { base: Box::new(self.name(base)), field: self.ident(field) })
    }

    fn map(self, keys: Vec<ast::Expr>) -> ast::Expr {
        self.expr(ast::ExprKind::Map(ast::MapElement { map: self.ident(STARTED), keys }))
    }

    fn call<const N: usize>(self, callee: &str, args: [ast::Expr; N]) -> ast::Expr {
        let args = args.into_iter().map(|value| ast::Arg { name: None, value }).collect();
        self.expr(ast::ExprKind::Call { callee: self.ident(callee), args })
    }

    fn binary(self, op: ast::BinaryOp, lhs: ast::Expr, rhs: ast::Expr) -> ast::Expr {
        self.expr(ast::ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) })
    }
}
