//! Objects read back as the runtime reads them.

use std::collections::HashSet;

use aya_obj::generated::{BPF_PSEUDO_FUNC, BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE};

use super::*;
use crate::catalog::helpers::Helper;
use crate::codegen_tests::{compile, page_fault};
use crate::ir::InstData;
use crate::ir::builder::FunctionBuilder;
use crate::ir::function::Type;
use crate::read_object::read_programs;

/// Two programs that share a section, and one with a section of its own.
const PROGRAMS: [(&str, &str); 3] =
    [("software_0", "perf_event"), ("kprobe_0", "kprobe/handle_mm_fault"), ("software_1", "perf_event")];

fn object() -> (Bytecode, Vec<u8>) {
    let code = compile(&page_fault::page_fault("any"));
    let programs = PROGRAMS.iter().map(|&(symbol, section)| ProgramCode { symbol, section, bytecode: &code });
    let (programs, maps, source) = (programs.collect(), [page_fault::faults_map()], page_fault::source());
    let spec = ObjectSpec {
        programs,
        callbacks: Vec::new(),
        maps: &maps,
        has_events: true,
        stack_depths: &BTreeSet::new(),
        has_stage: false,
        bss_size: 16,
        source: &source,
    };
    let object = write_object(&spec);
    (code, object)
}

#[test]
fn programs_are_read_back_whole() {
    let (code, object) = object();
    let mut programs = read_programs(&object).expect("an object");
    programs.sort_by_key(|program| program.symbol);
    let symbols: Vec<&str> = programs.iter().map(|program| program.symbol).collect();
    assert_eq!(symbols, ["kprobe_0", "software_0", "software_1"]);
    for program in programs {
        assert_eq!(program.bytes, code.bytes);
        let names: Vec<&str> = program.addresses.iter().map(|&(_, name)| name).collect();
        assert_eq!(names, ["faults", "events", "faults", "faults", ".bss", ".bss"]);
    }
}

#[test]
fn aya_finds_programs_and_maps() {
    let object = aya_obj::Object::parse(&object().1).expect("aya reads the object");
    let mut programs: Vec<&String> = object.programs.keys().collect();
    programs.sort();
    assert_eq!(programs, ["kprobe_0", "software_0", "software_1"]);
    let map = |name: &str| {
        let map = &object.maps[name];
        (map.map_type(), map.key_size(), map.value_size(), map.max_entries(), map.map_flags())
    };
    assert_eq!(map("faults"), (1, 4, 8, 4096, NO_PREALLOC));
    assert_eq!(map("events"), (PERF_EVENT_ARRAY, 4, 4, 0, 0));
    assert_eq!(map(".bss"), (2, 4, 16, 1, 0));
    assert_eq!(object.license.to_str(), Ok(LICENSE));
}

#[test]
fn aya_puts_addresses_in_place() {
    let (code, bytes) = object();
    let mut object = aya_obj::Object::parse(&bytes).expect("aya reads the object");
    let maps = std::mem::take(&mut object.maps);
    let fd_of = |name: &str| ["faults", "events", ".bss"].iter().position(|&it| it == name).map(|fd| fd as i32 + 10);
    let fds = maps.iter().filter_map(|(name, map)| Some((name.as_str(), fd_of(name)?, map)));
    object.relocate_maps(fds, &HashSet::new()).expect("every address has a symbol");
    let function = &object.functions[&object.programs["software_1"].function_key()];
    for reloc in &code.relocs {
        let inst = function.instructions[reloc.slot];
        let expected = match reloc.target {
            RelocTarget::Map(MapAddrOf::Events) => (BPF_PSEUDO_MAP_FD, 11, 0),
            RelocTarget::Map(MapAddrOf::Stacks { .. } | MapAddrOf::Stage) => {
                unreachable!("the program uses neither")
            }
            RelocTarget::Map(MapAddrOf::Script(_)) => (BPF_PSEUDO_MAP_FD, 10, 0),
            RelocTarget::Callback(_) => unreachable!("the program has no loops"),
            RelocTarget::Counter(offset) => (BPF_PSEUDO_MAP_VALUE, 12, offset as i32),
        };
        let second = function.instructions[reloc.slot + 1];
        assert_eq!((u32::from(inst.src_reg()), inst.imm, second.imm), expected);
    }
}

#[test]
fn a_line_is_told_once_for_each_run_of_instructions() {
    let (code, bytes) = object();
    let object = aya_obj::Object::parse(&bytes).expect("aya reads the object");
    let function = &object.functions[&object.programs["software_1"].function_key()];
    let source = page_fault::source();
    let mut expected: Vec<(u32, u32)> =
        (0..).zip(&code.spans).map(|(slot, span)| (slot, source.line_column(span.start).line as u32)).collect();
    expected.dedup_by_key(|(_, line)| *line);
    let told = function.line_info.line_info.iter();
    let told: Vec<(u32, u32)> = told.map(|info| (info.insn_off, info.line_col >> 10)).collect();
    assert_eq!(told, expected);
    assert_eq!(function.func_info.func_info.len(), 1);
}

/// A program with a loop over the map, whose body is the second callback.
fn looping() -> Bytecode {
    let mut builder = FunctionBuilder::new("begin");
    let map = InstData::MapAddr { map: MapAddrOf::Script(crate::manifest::MapRef(0)) };
    let map = builder.push(map, Type::Ptr);
    let callback = builder.push(InstData::CallbackAddr { callback: 1 }, Type::Ptr);
    let slot = builder.func_mut().create_slot(16);
    let frame = builder.push(InstData::StackAddr { slot, offset: 0 }, Type::Ptr);
    let flags = builder.iconst(0);
    builder.call(Helper::ForEachMapElem, crate::ir::values![map, callback, frame, flags]);
    builder.ret();
    compile(&builder.finish())
}

fn body(goes_on: bool) -> Bytecode {
    let mut builder = FunctionBuilder::callback("body");
    builder.leave(goes_on);
    compile(&builder.finish())
}

#[test]
fn aya_puts_the_body_of_a_loop_behind_its_program() {
    let (program, bodies) = (looping(), [body(true), body(false)]);
    let callbacks = ["loop0", "loop1"].into_iter().zip(&bodies);
    let bytes = write_object(&ObjectSpec {
        programs: vec![ProgramCode { symbol: "begin", section: "raw_tp", bytecode: &program }],
        callbacks: callbacks.map(|(symbol, bytecode)| CallbackCode { symbol, bytecode }).collect(),
        maps: &[page_fault::faults_map()],
        has_events: false,
        stack_depths: &BTreeSet::new(),
        has_stage: false,
        bss_size: 0,
        source: &page_fault::source(),
    });
    let mut object = aya_obj::Object::parse(&bytes).expect("aya reads the object");
    let maps = std::mem::take(&mut object.maps);
    let of_code: HashSet<usize> = object.functions.keys().map(|&(section, _)| section).collect();
    object.relocate_maps(maps.iter().map(|(name, map)| (name.as_str(), 10, map)), &of_code).expect("a map");
    object.relocate_calls(&of_code).expect("a body");
    let linked = &object.functions[&object.programs["begin"].function_key()];
    let own = program.bytes.len() / SLOT_BYTES;
    assert_eq!(linked.instructions.len(), own + bodies[1].bytes.len() / SLOT_BYTES);
    assert_eq!(linked.instructions[own].imm, 1, "the second body says that the loop stops");
    let slot = program.relocs.iter().find(|reloc| reloc.target == RelocTarget::Callback(1)).expect("a loop").slot;
    let address = linked.instructions[slot];
    assert_eq!((u32::from(address.src_reg()), address.imm), (BPF_PSEUDO_FUNC, (own - slot - 1) as i32));
    let functions: Vec<u32> = linked.func_info.func_info.iter().map(|info| info.insn_off).collect();
    assert_eq!(functions, [0, own as u32]);
}

#[test]
fn an_object_without_maps_is_one_too() {
    let source = SourceFile::new("empty.pf", "BEGIN {}");
    let mut builder = FunctionBuilder::new("begin");
    builder.ret();
    let code = compile(&builder.finish());
    let programs = vec![ProgramCode { symbol: "begin", section: "raw_tp", bytecode: &code }];
    let spec = ObjectSpec {
        programs,
        callbacks: Vec::new(),
        maps: &[],
        has_events: false,
        stack_depths: &BTreeSet::new(),
        has_stage: false,
        bss_size: 0,
        source: &source,
    };
    let object = write_object(&spec);
    let parsed = aya_obj::Object::parse(&object).expect("aya reads the object");
    assert!(parsed.maps.is_empty());
    assert_eq!(parsed.programs.len(), 1);
}
