//! Checked program to IR, one function per program.
//!
//! Lowering decides nothing: names, types, signs and layouts are settled. It produces the upper
//! level of the IR, in which a map element, a string, a tuple and a record are still one operand
//! each.

mod expr;
mod stmt;

use cranelift_entity::SecondaryMap;
use pfscript_grammar::Span;

use crate::check::program::{CheckedProbe, CheckedProgram, Var};
use crate::check::types::Type;
use crate::ir::builder::FunctionBuilder;
use crate::ir::entities::{StackSlot, Variable};
use crate::ir::function::Type as IrType;
use crate::ir::{Block, Function, Module, Tables};

/// Lowers all programs, in the order of targets and alternatives.
pub fn lower(program: &CheckedProgram) -> Module {
    let mut tables = Tables {
        maps: program.maps.clone(),
        records: program.records.clone(),
        possible_cpus: program.possible_cpus,
        ..Tables::default()
    };
    let probes = program.targets.iter().flat_map(|target| &target.alternatives);
    let functions = probes.map(|probe| lower_probe(probe, &mut tables)).collect();
    Module { functions, tables }
}

fn lower_probe(probe: &CheckedProbe, tables: &mut Tables) -> Function {
    let mut lowering = Lowering {
        builder: FunctionBuilder::new(&probe.symbol),
        tables,
        places: SecondaryMap::new(),
        loops: Vec::new(),
    };
    for (var, data) in &probe.vars {
        let place = match data.ty {
            Type::Str { .. } | Type::Tuple(_) => {
                let bytes = data.ty.data().map_or(0, |data| data.size());
                Place::Slot(lowering.builder.func_mut().create_slot(bytes), bytes)
            }
            _ => Place::Variable(lowering.builder.declare(IrType::I64)),
        };
        lowering.places[var] = Some(place);
    }
    if let Some(predicate) = &probe.predicate {
        lowering.skip_unless(predicate);
    }
    lowering.stmts(&probe.body);
    lowering.builder.set_span(Span::new(probe.span.start as usize, probe.span.end as usize));
    lowering.builder.ret();
    lowering.builder.finish()
}

struct Lowering<'a> {
    builder: FunctionBuilder,
    tables: &'a mut Tables,
    places: SecondaryMap<Var, Option<Place>>,
    loops: Vec<Loop>,
}

/// Where a scratch variable lives.
#[derive(Clone, Copy)]
enum Place {
    /// An integer: in SSA values.
    Variable(Variable),
    /// A string or tuple: in memory, so many bytes.
    Slot(StackSlot, u32),
}

/// Where `break` and `continue` go.
struct Loop {
    after: Block,
    next: Block,
}

impl Lowering<'_> {
    fn place(&self, var: Var) -> Place {
        self.places[var].expect("every variable has its place before the body is lowered")
    }
}
