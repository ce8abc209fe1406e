//! Checked program to IR, one function per program.
//!
//! Lowering decides nothing: names, types, signs and layouts are settled. It produces the upper
//! level of the IR, in which a map element, a string, a tuple and a record are still one operand
//! each.

mod buckets;
mod expr;
mod for_map;
mod read;
mod stmt;
mod tuples;

use cranelift_entity::{PrimaryMap, SecondaryMap};
use pfscript_grammar::Span;

use self::for_map::Frame;
use crate::catalog::probe_kinds;
use crate::check::program::{CheckedProbe, CheckedProgram, Var, VarData};
use crate::ir::builder::FunctionBuilder;
use crate::ir::entities::{StackSlot, Variable};
use crate::ir::function::Type as IrType;
use crate::ir::{Block, Function, InstData, Module, Tables, Value};

/// The symbol of the program that sends what is staged; no probe's program has it.
pub const FLUSH: &str = "flush";
/// So many of a program's records are staged in a burst: a program with more has no few instructions.
const STAGED_CALLS: u32 = 8;

/// Lowers all programs, in the order of targets and alternatives.
pub fn lower(program: &CheckedProgram) -> Module {
    let mut tables = Tables {
        maps: program.maps.clone(),
        records: program.records.clone(),
        possible_cpus: program.possible_cpus,
        ..Tables::default()
    };
    let probes = program.targets.iter().flat_map(|target| &target.alternatives);
    let mut callbacks = Vec::new();
    let functions = probes.map(|probe| lower_probe(probe, &mut tables, &mut callbacks)).collect();
    Module { functions, callbacks, flush: tables.uses_stage.then(flush), tables }
}

/// What sends staged records: its context is the one argument that [`Stage`](crate::manifest::Stage) tells of.
fn flush() -> Function {
    let mut builder = FunctionBuilder::new(FLUSH);
    let base = builder.func().context();
    let arm = builder.push(InstData::Load { bytes: 8, signed: false, base, offset: 0 }, IrType::I64);
    builder.effect(InstData::FlushStage { arm });
    builder.ret();
    builder.finish()
}

fn lower_probe(probe: &CheckedProbe, tables: &mut Tables, callbacks: &mut Vec<Function>) -> Function {
    let mut builder = FunctionBuilder::new(&probe.symbol);
    builder.func_mut().stageable = if probe_kinds::may_burst(&probe.attach) { STAGED_CALLS } else { 0 };
    let mut lowering = Lowering::new(builder, &probe.vars, tables, callbacks);
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
    vars: &'a PrimaryMap<Var, VarData>,
    tables: &'a mut Tables,
    callbacks: &'a mut Vec<Function>,
    /// What is outside of the loop's body that this is.
    frame: Option<Frame>,
    places: SecondaryMap<Var, Option<Place>>,
    loops: Vec<Loop>,
}

/// Where a scratch variable lives.
#[derive(Clone, Copy)]
enum Place {
    /// An integer: in SSA values.
    Variable(Variable),
    /// A string, tuple or what is of a process: in memory, so many bytes.
    Slot(StackSlot, u32),
    /// The variable of a loop over a map: the key and the value.
    Element([Value; 2]),
}

/// Where `break` and `continue` go.
#[derive(Clone, Copy)]
enum Loop {
    /// To these blocks.
    Blocks { after: Block, next: Block },
    /// Back to the kernel, whose loop it is.
    Callback,
}

impl<'a> Lowering<'a> {
    fn new(
        mut builder: FunctionBuilder,
        vars: &'a PrimaryMap<Var, VarData>,
        tables: &'a mut Tables,
        callbacks: &'a mut Vec<Function>,
    ) -> Self {
        let mut places = SecondaryMap::new();
        for (var, data) in vars {
            places[var] = Some(match expr::ir_type(&data.ty) {
                IrType::Bytes(bytes) => Place::Slot(builder.func_mut().create_slot(bytes), bytes),
                register => Place::Variable(builder.declare(register)),
            });
        }
        Self { builder, vars, tables, callbacks, frame: None, places, loops: Vec::new() }
    }

    fn place(&self, var: Var) -> Place {
        self.places[var].expect("every variable has its place before the body is lowered")
    }
}
