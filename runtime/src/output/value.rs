//! How values are written for people: numbers in decimal, times of day, names of addresses.

use pfscript_compiler::manifest::Member;

use crate::datum::{Datum, Integer, decode};
use crate::output::context::Context;
use crate::output::text::{push_escaped, push_signed, push_unsigned};
use crate::symbols::Frame;
use crate::symbols::stacks::{push_in_line, push_lines};

impl Integer {
    /// Appends the value in decimal.
    pub fn push(self, out: &mut Vec<u8>) {
        if self.is_signed() { push_signed(out, self.signed()) } else { push_unsigned(out, self.unsigned()) }
    }
}

impl Datum<'_> {
    /// Appends the value as people read it: `10:45:16`, `gcc`, `(1, abc)`; a stack in lines.
    pub fn push_plain(&self, out: &mut Vec<u8>, context: &mut Context) {
        self.push(out, context, StackForm::Lines);
    }

    /// Appends the value as people read it, all in one line.
    pub fn push_in_line(&self, out: &mut Vec<u8>, context: &mut Context) {
        self.push(out, context, StackForm::OneLine);
    }

    fn push(&self, out: &mut Vec<u8>, context: &mut Context, form: StackForm) {
        match self {
            Self::Int(integer) => integer.push(out),
            Self::Time(monotonic) => context.clock.push_time_of_day(out, *monotonic),
            Self::Text(text) => push_escaped(out, text),
            Self::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Self::Moment(boottime, format) => context.clock.push_boottime(out, *boottime, format),
            Self::UserName(uid) => push_escaped(out, context.users.name(*uid).as_bytes()),
            Self::KernelSymbol(address) => push_escaped(out, context.stacks.kernel_symbol(*address).as_bytes()),
            Self::UserSymbol(address, pid) => push_escaped(out, context.stacks.user_symbol(*address, *pid).as_bytes()),
            Self::KernelStack(..) | Self::UserStack(..) => form.push(out, &self.frames(context)),
            Self::Tuple(members, bytes) => {
                out.push(b'(');
                push_members(out, members, bytes, context, form);
                out.push(b')');
            }
        }
    }

    /// The names of a stack's frames, innermost first; none of what is no stack.
    pub fn frames(&self, context: &mut Context) -> Vec<Frame> {
        match self {
            Self::KernelStack(number, shape) => context.stacks.kernel(*number, *shape),
            Self::UserStack(number, pid, shape) => context.stacks.user(*number, *pid, *shape),
            _ => Vec::new(),
        }
    }
}

/// How a stack is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackForm {
    /// A line for each frame.
    Lines,
    /// All frames in one line.
    OneLine,
}

impl StackForm {
    fn push(self, out: &mut Vec<u8>, frames: &[Frame]) {
        match self {
            Self::Lines => push_lines(out, frames),
            Self::OneLine => push_in_line(out, frames),
        }
    }
}

/// Appends the parts of a tuple or key: `1, abc`.
pub fn push_members(out: &mut Vec<u8>, members: &[Member], bytes: &[u8], context: &mut Context, form: StackForm) {
    for (index, member) in members.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"" } else { b", " });
        decode::member(member, bytes).push(out, context, form);
    }
}
