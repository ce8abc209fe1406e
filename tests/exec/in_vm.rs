//! Expressions run in a user-space machine, the rbpf crate: their numbers are the fields of a
//! tracepoint's record, which is the memory that the program is run on.

use std::cell::Cell;

use aya_obj::Object;
use aya_obj::generated::bpf_insn;
use libtest_mimic::Failed;
use pfscript_compiler::kernel::{
    FieldKind, FormatSource, KernelInfo, Signature, StructId, StructMember, TracepointField, TracepointFormat,
    Unavailable,
};
use pfscript_compiler::manifest::AttachSpec;
use pfscript_compiler::{Options, compile};
use pfscript_grammar::{SourceFile, parse};

use crate::expression::Number;
use crate::in_kernel::{Case, Form};

/// Bytes of a record before its fields.
const HEADER: usize = 8;

thread_local! {
    /// What a look-up finds: the only element of any map.
    static ELEMENT: Cell<u64> = const { Cell::new(0) };
}

/// Runs all cases, their numbers hidden and half hidden; every value must be what the reference
/// says. Returns how many the machine could run.
pub fn run(cases: &[Case]) -> Result<usize, Failed> {
    let mut compared = 0;
    for case in cases {
        for form in [Form::Mixed, Form::Hidden] {
            let Some(expr) = case.write(form, &|_, place| format!("args.f{place}")) else { continue };
            let insts = insts(&expr, &case.leaves)?;
            if !insts.iter().all(is_known_to_rbpf) {
                continue;
            }
            let expected = case.expr.evaluate();
            let found = execute(&insts, &case.leaves);
            if found != expected.value as u64 {
                return Err(format!("{expr} is {found} where {} is due for {:?}", expected.value, case.leaves).into());
            }
            compared += 1;
        }
    }
    Ok(compared)
}

/// The program that stores the expression's value in a map.
fn insts(expr: &str, leaves: &[Number]) -> Result<Vec<bpf_insn>, Failed> {
    let text = format!("tracepoint:made:up {{ @result = {expr}; }}");
    let source = SourceFile::new("exec.pf", text.as_str());
    let wrong = |diagnostics| format!("{text} is refused: {diagnostics:?}");
    let script = parse(&source).map_err(wrong)?;
    let artifact = compile(&source, &script, &Record(leaves), &Options::default()).map_err(wrong)?;
    let object = Object::parse(&artifact.object)?;
    let function = object.functions.values().next().ok_or("the object has a program")?;
    Ok(function.instructions.clone())
}

/// rbpf has no atomic operations, compares with unsigned constants where the kernel sign-extends
/// them, and panics on negating the smallest integer.
fn is_known_to_rbpf(inst: &bpf_insn) -> bool {
    const NEG64: u8 = 0x87;
    const CLASS: u8 = 0x07;
    const ATOMIC: [u8; 2] = [0xdb, 0xc3];
    const JUMP: u8 = 0x05;
    const BY_REGISTER: u8 = 0x08;
    const SIGNED: [u8; 4] = [0x60, 0x70, 0xc0, 0xd0];
    let compares = inst.code & CLASS == JUMP && inst.code & BY_REGISTER == 0 && !SIGNED.contains(&(inst.code & 0xf0));
    inst.code != NEG64 && !ATOMIC.contains(&inst.code) && !(compares && inst.imm < 0)
}

fn execute(insts: &[bpf_insn], leaves: &[Number]) -> u64 {
    let mut context = vec![0; HEADER];
    leaves.iter().for_each(|leaf| context.extend((leaf.value as u64).to_le_bytes()));
    let program: Vec<u8> = insts.iter().flat_map(bytes_of).collect();
    let element = Box::new(Cell::new(0_u64));
    let address = std::ptr::from_ref(element.as_ref()) as u64;
    ELEMENT.set(address);

    let mut machine = rbpf::EbpfVmRaw::new(None).expect("an empty machine");
    // What is verified here is the value; the kernel verifies the program.
    machine.set_verifier(|_| Ok(())).expect("no program yet");
    machine.set_program(&program).expect("a program");
    machine.register_helper(1, |_, _, _, _, _| ELEMENT.get()).expect("a new number");
    machine.register_helper(2, |_, _, _, _, _| u64::MAX).expect("a new number");
    machine.register_allowed_memory(address..address + 8);
    machine.execute_program(&mut context).expect("no memory fault");
    element.get()
}

fn bytes_of(inst: &bpf_insn) -> [u8; 8] {
    let [offset_low, offset_high] = inst.off.to_le_bytes();
    let [a, b, c, d] = inst.imm.to_le_bytes();
    [inst.code, inst.dst_reg() | inst.src_reg() << 4, offset_low, offset_high, a, b, c, d]
}

/// A kernel that knows one tracepoint, whose record holds the numbers.
struct Record<'a>(&'a [Number]);

fn none<T>() -> Result<T, Unavailable> {
    Err(Unavailable::NotFound)
}

impl KernelInfo for Record<'_> {
    fn tracepoint(&self, _: &str, _: &str) -> Result<TracepointFormat, Unavailable> {
        let field = |(place, number): (usize, &Number)| TracepointField {
            name: format!("f{place}"),
            offset: (HEADER + 8 * place) as u32,
            kind: FieldKind::Int { bytes: (number.ty.bits / 8) as u8, signed: number.ty.signed },
        };
        Ok(TracepointFormat { fields: self.0.iter().enumerate().map(field).collect(), source: FormatSource::BuiltIn })
    }

    fn tracepoints(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn function(&self, _: &str) -> Result<Signature, Unavailable> {
        none()
    }

    fn functions(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn raw_tracepoint(&self, _: &str) -> Result<Signature, Unavailable> {
        none()
    }

    fn structure(&self, _: &str) -> Result<StructId, Unavailable> {
        none()
    }

    fn members(&self, _: StructId) -> Result<Vec<StructMember>, Unavailable> {
        none()
    }

    fn enumerator(&self, _: &str) -> Result<i128, Unavailable> {
        Err(Unavailable::NotFound)
    }

    fn symbol_address(&self, _: &str) -> Result<u64, Unavailable> {
        none()
    }

    fn offers(&self, _: &AttachSpec) -> Result<(), Unavailable> {
        Ok(())
    }

    fn release(&self) -> (u32, u32) {
        (6, 1)
    }

    fn possible_cpus(&self) -> u32 {
        1
    }
}
