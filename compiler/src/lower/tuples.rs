//! Tuples: taken apart for keys, and laid out anew.

use super::Lowering;
use crate::check::program::{Element, Expr, ExprKind};
use crate::check::types::Type;
use crate::ir::function::Type as IrType;
use crate::ir::{InstData, Value, Values};
use crate::manifest::{DataType, Member};

impl Lowering<'_> {
    /// The parts of a key, tuples taken apart.
    pub(super) fn key(&mut self, element: &Element) -> Values {
        let mut parts = Values::new();
        element.key.iter().for_each(|part| self.key_part(part, &mut parts));
        parts
    }

    fn key_part(&mut self, part: &Expr, out: &mut Values) {
        match (&part.kind, &part.ty) {
            (ExprKind::Tuple(elements), _) => elements.iter().for_each(|element| self.key_part(element, out)),
            (_, Type::Tuple(_)) => {
                let tuple = self.expr(part);
                self.take_apart(tuple, members(&part.ty), out);
            }
            _ => out.push(self.expr(part)),
        }
    }

    /// The elements of a tuple, and of tuples in it.
    pub(super) fn take_apart(&mut self, tuple: Value, members: Vec<Member>, out: &mut Values) {
        for member in members {
            match member.ty.clone() {
                DataType::Tuple(inner) => {
                    let tuple = self.element(tuple, member);
                    self.take_apart(tuple, inner, out);
                }
                _ => out.push(self.element(tuple, member)),
            }
        }
    }

    /// What lies at `member` of a tuple.
    pub(super) fn element(&mut self, tuple: Value, member: Member) -> Value {
        let ty = ir_type_of_data(&member.ty);
        self.builder.push(InstData::Element { tuple, member: member.into() }, ty)
    }

    /// A tuple laid out anew, its elements as `to` has them.
    pub(super) fn laid_out_as(&mut self, tuple: Value, from: Vec<Member>, to: Vec<Member>, ty: IrType) -> Value {
        let mut parts = Values::with_capacity(to.len());
        for (member, wanted) in from.into_iter().zip(&to) {
            let present = member.ty.clone();
            let part = self.element(tuple, member);
            parts.push(match (present, &wanted.ty) {
                (DataType::Tuple(from), DataType::Tuple(to)) => {
                    self.laid_out_as(part, from, to.clone(), ir_type_of_data(&wanted.ty))
                }
                _ => part,
            });
        }
        self.builder.push(InstData::Tuple { members: to.into(), parts }, ty)
    }
}

/// The IR's type of what lies in memory as `ty`.
pub(super) fn ir_type_of_data(ty: &DataType) -> IrType {
    if ty.is_bytes() { IrType::Bytes(ty.size()) } else { IrType::I64 }
}

/// How a tuple lies in memory.
pub(super) fn members(ty: &Type) -> Vec<Member> {
    match ty.data() {
        Some(DataType::Tuple(members)) => members,
        other => unreachable!("{other:?} is no tuple"),
    }
}
