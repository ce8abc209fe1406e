//! Finds records that carry an ever growing count of one map element, so that the reader can put
//! them in their true order (see [`Sequence`]).
//!
//! A field is such a count when its value is the result of an atomic addition of a positive
//! constant; its key is known to the reader when each part of the element's key is a field too.

use crate::ir::{BinaryOp, Function, InstData, Tables, Value};
use crate::manifest::{Action, FieldPlace, RecordLayout, Sequence};

/// Looks at each record that `func` sends.
pub fn find_sequences(func: &mut Function, tables: &mut Tables) {
    for &block in &func.layout {
        for &inst in &func.blocks[block].insts {
            if let InstData::Output { record, fields } = &func.insts[inst].data {
                let layout = &mut tables.records[*record as usize];
                let found = sequence(func, layout, fields);
                if let Action::Emit { sequence } = &mut layout.action {
                    *sequence = found;
                }
            }
        }
    }
}

fn sequence(func: &Function, layout: &RecordLayout, values: &[Value]) -> Option<Sequence> {
    let places: Vec<usize> = layout
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| matches!(field.place, FieldPlace::At { .. }))
        .map(|(index, _)| index)
        .collect();
    let field_of = |value: &Value| values.iter().position(|other| other == value).map(|position| places[position]);
    values.iter().zip(&places).find_map(|(&value, &count)| {
        let key = counted_key(func, value)?;
        let key = key.iter().map(field_of).collect::<Option<Vec<usize>>>()?;
        Some(Sequence { key, count })
    })
}

/// The key of the element whose growing count `value` is.
fn counted_key(func: &Function, value: Value) -> Option<&[Value]> {
    let grown = |value: Value| match func.def(value)? {
        InstData::MapFetchAdd { key, delta, .. } if func.constant(*delta)? > 0 => Some(key.as_slice()),
        _ => None,
    };
    match func.def(value)? {
        InstData::Binary { op: BinaryOp::Add, args: [old, added] } => {
            grown(*old).filter(|_| func.constant(*added).is_some())
        }
        _ => grown(value),
    }
}
