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
mod tests;
