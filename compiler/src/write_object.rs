//! Programs and maps to a standard eBPF ELF object, as clang writes it and libbpf and aya read it.
//!
//! | section | contents |
//! |---|---|
//! | one for each program section name | the programs of that name one after another, each a symbol |
//! | `.text` | the bodies of loops, which programs take the address of |
//! | `.maps` | a place for each map; what it is stands in `.BTF` |
//! | `.bss` | the counters |
//! | `license` | [`LICENSE`] |
//! | `.BTF`, `.BTF.ext` | types of maps and programs; script lines of instructions |
//!
//! A 64-bit load of an address has an `R_BPF_64_64` relocation against the map's symbol, or
//! against the section `.bss` or `.text` with the offset into it in the instruction's constant.

use std::collections::{BTreeSet, HashMap};

use object::write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope, elf,
};
use pfscript_grammar::SourceFile;

use crate::bpf::encode::SLOT_BYTES;
use crate::btf::{self, Btf, LineInfo, Linkage, SectionInfo, SectionVar, TypeId};
use crate::emit::{Bytecode, RelocTarget};
use crate::ir::inst::MapAddrOf;
use crate::manifest::{
    CALLBACKS_SECTION, COUNTERS_SECTION, EVENTS_MAP, LICENSE, MapInfo, MapKind, STACKS_MAX_ENTRIES, STAGE_MAP, Stage,
    stacks_map,
};

/// Where in a slot its constant is.
const CONSTANT_IN_SLOT: usize = 4;

/// `BPF_MAP_TYPE_PERF_EVENT_ARRAY`
const PERF_EVENT_ARRAY: u32 = 4;
/// `BPF_MAP_TYPE_PERCPU_ARRAY`
const PERCPU_ARRAY: u32 = 6;
/// `BPF_MAP_TYPE_STACK_TRACE`
const STACK_TRACE: u32 = 7;
/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1;

/// What goes into an object.
pub struct ObjectSpec<'a> {
    /// The programs, in the order in which they stand in their sections.
    pub programs: Vec<ProgramCode<'a>>,
    /// The callbacks, by the number in [`RelocTarget::Callback`].
    pub callbacks: Vec<CallbackCode<'a>>,
    /// The script's maps, by [`MapRef`](crate::manifest::MapRef).
    pub maps: &'a [MapInfo],
    /// Whether there is a perf event array [`EVENTS_MAP`].
    pub has_events: bool,
    /// The depths of the stack trace maps.
    pub stack_depths: &'a BTreeSet<u32>,
    /// Whether there is a per-CPU array [`STAGE_MAP`].
    pub has_stage: bool,
    /// Bytes of [`COUNTERS_SECTION`]; 0 when there is none.
    pub bss_size: u32,
    /// The script, for line information.
    pub source: &'a SourceFile,
}

/// One program of an object.
pub struct ProgramCode<'a> {
    /// Its symbol.
    pub symbol: &'a str,
    /// Its section.
    pub section: &'a str,
    /// Its code.
    pub bytecode: &'a Bytecode,
}

/// One callback of an object.
pub struct CallbackCode<'a> {
    /// Its symbol, which no program has.
    pub symbol: &'a str,
    /// Its code.
    pub bytecode: &'a Bytecode,
}

/// Writes the object.
pub fn write_object(spec: &ObjectSpec) -> Vec<u8> {
    let mut writer = Writer::new(spec);
    writer.license();
    writer.maps();
    writer.counters();
    writer.callbacks();
    writer.programs();
    writer.finish()
}

/// A map as `.maps` and its type information describe it.
struct MapDefinition<'a> {
    symbol: &'a str,
    ty: u32,
    key_size: u32,
    value_size: u32,
    /// 0: as many as there are CPUs.
    max_entries: u32,
    flags: u32,
}

impl<'a> MapDefinition<'a> {
    /// The perf event array.
    const EVENTS: MapDefinition<'static> = MapDefinition {
        symbol: EVENTS_MAP,
        ty: PERF_EVENT_ARRAY,
        key_size: 4,
        value_size: 4,
        max_entries: 0,
        flags: 0,
    };

    /// The stack trace map of that depth.
    fn stacks(symbol: &'a str, depth: u32) -> Self {
        Self { symbol, ty: STACK_TRACE, key_size: 4, value_size: 8 * depth, max_entries: STACKS_MAX_ENTRIES, flags: 0 }
    }

    /// The array with each CPU's stage.
    const STAGE: MapDefinition<'static> = MapDefinition {
        symbol: STAGE_MAP,
        ty: PERCPU_ARRAY,
        key_size: 4,
        value_size: Stage::SIZE,
        max_entries: 1,
        flags: 0,
    };

    fn of(map: &'a MapInfo) -> Self {
        let (ty, flags) = match map.kind {
            MapKind::Hash => (1, NO_PREALLOC),
            MapKind::Array => (2, 0),
            MapKind::PercpuHash => (5, NO_PREALLOC),
            MapKind::PercpuArray => (PERCPU_ARRAY, 0),
            MapKind::LruHash => (9, 0),
        };
        let &MapInfo { key_size, value_size, max_entries, .. } = map;
        Self { symbol: &map.symbol, ty, key_size, value_size, max_entries, flags }
    }

    /// What is said of it; a zero is left out, as it is what is meant by silence.
    fn attributes(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let all = [
            ("type", self.ty),
            ("key_size", self.key_size),
            ("value_size", self.value_size),
            ("max_entries", self.max_entries),
            ("map_flags", self.flags),
        ];
        all.into_iter().filter(|&(_, value)| value != 0)
    }
}

struct Writer<'a> {
    spec: &'a ObjectSpec<'a>,
    object: Object<'a>,
    btf: Btf,
    int: TypeId,
    prototype: TypeId,
    symbols: HashMap<MapAddrOf, SymbolId>,
    counters: Option<SymbolId>,
    /// The section of callbacks.
    text: Option<SymbolId>,
    infos: Vec<SectionInfo>,
}

impl<'a> Writer<'a> {
    fn new(spec: &'a ObjectSpec<'a>) -> Self {
        let object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        let mut btf = Btf::default();
        let int = btf.int("int", 4, true);
        let context = btf.pointer(btf::VOID);
        let prototype = btf.prototype(int, &[("ctx", context)]);
        let (symbols, counters, text, infos) = (HashMap::new(), None, None, Vec::new());
        Self { spec, object, btf, int, prototype, symbols, counters, text, infos }
    }

    fn license(&mut self) {
        let section = self.object.add_section(Vec::new(), b"license".into(), SectionKind::Data);
        self.object.append_section_data(section, format!("{LICENSE}\0").as_bytes(), 1);
    }

    fn maps(&mut self) {
        let spec = self.spec;
        let mut definitions: Vec<_> = spec
            .maps
            .iter()
            .enumerate()
            .map(|(index, map)| (MapAddrOf::Script(crate::manifest::MapRef(index as u32)), MapDefinition::of(map)))
            .collect();
        definitions.extend(spec.has_events.then_some((MapAddrOf::Events, MapDefinition::EVENTS)));
        let stacks: Vec<(u32, String)> = spec.stack_depths.iter().map(|&depth| (depth, stacks_map(depth))).collect();
        let stacks_of = |(depth, symbol)| (MapAddrOf::Stacks { depth }, MapDefinition::stacks(symbol, depth));
        definitions.extend(stacks.iter().map(|(depth, symbol)| stacks_of((*depth, symbol.as_str()))));
        definitions.extend(spec.has_stage.then_some((MapAddrOf::Stage, MapDefinition::STAGE)));
        if definitions.is_empty() {
            return;
        }
        let section = self.object.add_section(Vec::new(), b".maps".into(), SectionKind::Data);
        let mut vars = Vec::new();
        for (map, definition) in &definitions {
            let (var, size) = self.map_variable(definition);
            let offset = self.object.append_section_data(section, &vec![0; size as usize], 8);
            vars.push(SectionVar { var, offset: offset as u32, size });
            let symbol =
                symbol(definition.symbol, offset, size.into(), SymbolKind::Data, SymbolSection::Section(section));
            self.symbols.insert(*map, self.object.add_symbol(symbol));
        }
        let bytes = vars.iter().map(|var| var.offset + var.size).max().unwrap_or(0);
        self.btf.data_section(".maps", bytes, &vars);
    }

    /// The variable for a map, `struct { int (*type)[1]; int (*key_size)[4]; ... }`, and its size.
    fn map_variable(&mut self, definition: &MapDefinition) -> (TypeId, u32) {
        let mut members = Vec::new();
        for (name, value) in definition.attributes() {
            let array = self.btf.array(self.int, self.int, value);
            members.push((name, self.btf.pointer(array)));
        }
        let structure = self.btf.struct_of_pointers(&members);
        let var = self.btf.variable(definition.symbol, structure, Linkage::Global);
        (var, members.len() as u32 * 8)
    }

    fn counters(&mut self) {
        let bytes = self.spec.bss_size;
        if bytes == 0 {
            return;
        }
        let section = self.object.add_section(Vec::new(), COUNTERS_SECTION.into(), SectionKind::UninitializedData);
        self.object.append_section_bss(section, bytes.into(), 8);
        self.counters = Some(self.object.section_symbol(section));
        let number = self.btf.int("unsigned long", 8, false);
        let array = self.btf.array(number, self.int, bytes / 8);
        let var = self.btf.variable("counters", array, Linkage::Static);
        self.btf.data_section(COUNTERS_SECTION, bytes, &[SectionVar { var, offset: 0, size: bytes }]);
    }

    /// As clang does with static functions: local symbols, referred to by section and offset.
    fn callbacks(&mut self) {
        let spec = self.spec;
        if spec.callbacks.is_empty() {
            return;
        }
        let section = self.object.add_section(Vec::new(), CALLBACKS_SECTION.into(), SectionKind::Text);
        self.text = Some(self.object.section_symbol(section));
        let mut info =
            SectionInfo { name: self.btf.string(CALLBACKS_SECTION), functions: Vec::new(), lines: Vec::new() };
        let pointer = self.btf.pointer(btf::VOID);
        let params = ["map", "key", "value", "ctx"].map(|name| (name, pointer));
        let prototype = self.btf.prototype(self.int, &params);
        for callback in &spec.callbacks {
            let function = self.btf.function(callback.symbol, prototype, Linkage::Static);
            self.function(section, &mut info, callback.symbol, callback.bytecode, function, SymbolScope::Compilation);
        }
        self.infos.push(info);
    }

    /// Bytes from the start of `.text` to a callback.
    fn callback_offset(&self, callback: u32) -> u32 {
        self.spec.callbacks[..callback as usize].iter().map(|before| before.bytecode.bytes.len() as u32).sum()
    }

    /// Appends the code of a program or callback to a section.
    fn function(
        &mut self,
        section: SectionId,
        info: &mut SectionInfo,
        name: &str,
        code: &Bytecode,
        function: TypeId,
        scope: SymbolScope,
    ) {
        let bytes = self.with_callback_offsets(code);
        let start = self.object.append_section_data(section, &bytes, SLOT_BYTES as u64);
        let place = SymbolSection::Section(section);
        let symbol = Symbol { scope, ..symbol(name, start, bytes.len() as u64, SymbolKind::Text, place) };
        self.object.add_symbol(symbol);
        info.functions.push((start as u32, function));
        self.lines(info, start, code);
        for reloc in &code.relocs {
            self.relocate(section, start + (reloc.slot * SLOT_BYTES) as u64, reloc.target);
        }
    }

    fn with_callback_offsets(&self, code: &Bytecode) -> Vec<u8> {
        let mut bytes = code.bytes.clone();
        for reloc in &code.relocs {
            if let RelocTarget::Callback(callback) = reloc.target {
                let constant = reloc.slot * SLOT_BYTES + CONSTANT_IN_SLOT;
                bytes[constant..constant + 4].copy_from_slice(&self.callback_offset(callback).to_le_bytes());
            }
        }
        bytes
    }

    fn programs(&mut self) {
        let mut names: Vec<&str> = Vec::new();
        for program in &self.spec.programs {
            if !names.contains(&program.section) {
                names.push(program.section);
            }
        }
        names.into_iter().for_each(|name| self.program_section(name));
    }

    fn program_section(&mut self, name: &str) {
        let section = self.object.add_section(Vec::new(), name.into(), SectionKind::Text);
        let mut info = SectionInfo { name: self.btf.string(name), functions: Vec::new(), lines: Vec::new() };
        let spec = self.spec;
        for program in spec.programs.iter().filter(|program| program.section == name) {
            let function = self.btf.function(program.symbol, self.prototype, Linkage::Global);
            self.function(section, &mut info, program.symbol, program.bytecode, function, SymbolScope::Dynamic);
        }
        self.infos.push(info);
    }

    /// One entry for each instruction whose line is another than the one before it.
    fn lines(&mut self, info: &mut SectionInfo, start: u64, code: &Bytecode) {
        let mut last_line = None;
        for (slot, &span) in code.spans.iter().enumerate() {
            let at = self.spec.source.line_column(span.start);
            if last_line.replace(at.line) == Some(at.line) {
                continue;
            }
            info.lines.push(LineInfo {
                offset: start as u32 + (slot * SLOT_BYTES) as u32,
                file: self.btf.string(self.spec.source.name()),
                text: self.btf.string(self.spec.source.line(at.line)),
                line: at.line as u32,
                column: at.column as u32,
            });
        }
    }

    fn relocate(&mut self, section: SectionId, offset: u64, target: RelocTarget) {
        let symbol = match target {
            RelocTarget::Map(map) => self.symbols[&map],
            RelocTarget::Callback(_) => self.text.expect("a program with callbacks has a section for them"),
            RelocTarget::Counter(_) => self.counters.expect("a program with counters has a section for them"),
        };
        let flags = RelocationFlags::Elf { r_type: elf::R_BPF_64_64 };
        let relocation = Relocation { offset, symbol, addend: 0, flags };
        self.object.add_relocation(section, relocation).expect("its type is one of the architecture's");
    }

    fn finish(mut self) -> Vec<u8> {
        for (name, contents) in [(".BTF", self.btf.finish()), (".BTF.ext", btf::ext(&self.infos))] {
            let section = self.object.add_section(Vec::new(), name.into(), SectionKind::Metadata);
            self.object.append_section_data(section, &contents, 4);
        }
        self.object.write().expect("sections and symbols are whole")
    }
}

fn symbol(name: &str, value: u64, size: u64, kind: SymbolKind, section: SymbolSection) -> Symbol {
    Symbol {
        name: name.into(),
        value,
        size,
        kind,
        scope: SymbolScope::Dynamic, // global, with default visibility
        weak: false,
        section,
        flags: SymbolFlags::None,
    }
}

#[cfg(test)]
mod tests {
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
        let fd_of =
            |name: &str| ["faults", "events", ".bss"].iter().position(|&it| it == name).map(|fd| fd as i32 + 10);
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
        builder.call(Helper::ForEachMapElem, vec![map, callback, frame, flags]);
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
}
