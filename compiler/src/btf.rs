//! The kernel's type information (`.BTF`) and what hangs on it (`.BTF.ext`), as
//! `Documentation/bpf/btf.rst` defines them.
//!
//! Only what loaders and the kernel ask for: the definitions of maps, the prototypes of programs,
//! and which script line each instruction comes from.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
const BTF_HEADER_BYTES: u32 = 24;
const EXT_HEADER_BYTES: u32 = 24;
const FUNC_INFO_BYTES: u32 = 8;
const LINE_INFO_BYTES: u32 = 16;

// Kinds of types.
const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;

const INT_SIGNED: u32 = 1 << 24;

/// Columns beyond this are not written: ten bits are what there is.
const COLUMN_MAX: u32 = 0x3ff;

/// A type, by its number in the section; 0 is `void`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeId(u32);

/// No type: what a pointer to anything points to.
pub const VOID: TypeId = TypeId(0);

/// Which symbol a variable or function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// One that the symbol table does not name.
    Static,
    /// The symbol of the same name.
    Global,
}

impl Linkage {
    fn code(self) -> u32 {
        match self {
            Self::Static => 0,
            Self::Global => 1,
        }
    }
}

/// A variable in a data section.
#[derive(Clone, Copy, Debug)]
pub struct SectionVar {
    /// The variable.
    pub var: TypeId,
    /// Bytes from the section's start.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// A `.BTF` section under construction.
#[derive(Debug, Default)]
pub struct Btf {
    types: Vec<u8>,
    type_count: u32,
    strings: Strings,
}

/// A table of NUL-ended strings, each written once.
#[derive(Debug)]
struct Strings {
    bytes: Vec<u8>,
    offsets: HashMap<String, u32>,
}

impl Default for Strings {
    /// The empty string comes first: an offset of 0 means "no name".
    fn default() -> Self {
        Self { bytes: vec![0], offsets: HashMap::from([(String::new(), 0)]) }
    }
}

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        let text = text.replace('\0', "");
        let end = self.bytes.len() as u32;
        let offset = *self.offsets.entry(text.clone()).or_insert(end);
        if offset == end {
            self.bytes.extend(text.as_bytes());
            self.bytes.push(0);
        }
        offset
    }
}

impl Btf {
    /// A signed or unsigned integer.
    pub fn int(&mut self, name: &str, bytes: u32, signed: bool) -> TypeId {
        let encoding = if signed { INT_SIGNED } else { 0 };
        self.add(name, KIND_INT, 0, bytes, &[encoding | (bytes * 8)])
    }

    /// A pointer.
    pub fn pointer(&mut self, to: TypeId) -> TypeId {
        self.add("", KIND_PTR, 0, to.0, &[])
    }

    /// An array of `count` elements; `index` is any integer type.
    pub fn array(&mut self, element: TypeId, index: TypeId, count: u32) -> TypeId {
        self.add("", KIND_ARRAY, 0, 0, &[element.0, index.0, count])
    }

    /// A structure without a name whose members are pointers.
    pub fn struct_of_pointers(&mut self, members: &[(&str, TypeId)]) -> TypeId {
        let mut words = Vec::new();
        for (index, (name, ty)) in members.iter().enumerate() {
            words.extend([self.strings.add(name), ty.0, index as u32 * 64]);
        }
        self.add("", KIND_STRUCT, members.len() as u32, members.len() as u32 * 8, &words)
    }

    /// A function's type.
    pub fn prototype(&mut self, result: TypeId, params: &[(&str, TypeId)]) -> TypeId {
        let words: Vec<u32> = params.iter().flat_map(|(name, ty)| [self.strings.add(name), ty.0]).collect();
        self.add("", KIND_FUNC_PROTO, params.len() as u32, result.0, &words)
    }

    /// A function.
    pub fn function(&mut self, name: &str, prototype: TypeId, linkage: Linkage) -> TypeId {
        self.add(name, KIND_FUNC, linkage.code(), prototype.0, &[])
    }

    /// A variable.
    pub fn variable(&mut self, name: &str, ty: TypeId, linkage: Linkage) -> TypeId {
        self.add(name, KIND_VAR, 0, ty.0, &[linkage.code()])
    }

    /// A section with variables, in the order of their offsets.
    pub fn data_section(&mut self, name: &str, bytes: u32, vars: &[SectionVar]) -> TypeId {
        let words: Vec<u32> = vars.iter().flat_map(|var| [var.var.0, var.offset, var.size]).collect();
        self.add(name, KIND_DATASEC, vars.len() as u32, bytes, &words)
    }

    /// Adds a string for [`ext`] to refer to.
    pub fn string(&mut self, text: &str) -> u32 {
        self.strings.add(text)
    }

    fn add(&mut self, name: &str, kind: u32, info: u32, size_or_type: u32, more: &[u32]) -> TypeId {
        let name = self.strings.add(name);
        put(&mut self.types, &[name, kind << 24 | info, size_or_type]);
        put(&mut self.types, more);
        self.type_count += 1;
        TypeId(self.type_count)
    }

    /// The section's contents.
    pub fn finish(self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.bytes.len() as u32);
        let mut bytes = header();
        put(&mut bytes, &[BTF_HEADER_BYTES, 0, types, types, strings]);
        bytes.extend(self.types);
        bytes.extend(self.strings.bytes);
        bytes
    }
}

/// The script line that an instruction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInfo {
    /// Bytes from the start of the instruction's section.
    pub offset: u32,
    /// The file's name, from [`Btf::string`].
    pub file: u32,
    /// The line's text, from [`Btf::string`].
    pub text: u32,
    /// The line's number, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// What is told of one section of code.
#[derive(Clone, Debug)]
pub struct SectionInfo {
    /// The section's name, from [`Btf::string`].
    pub name: u32,
    /// Its functions: bytes from the section's start, and the function.
    pub functions: Vec<(u32, TypeId)>,
    /// Its lines, in the order of their offsets; one at the start of each function at least.
    pub lines: Vec<LineInfo>,
}

/// The contents of `.BTF.ext`.
pub fn ext(sections: &[SectionInfo]) -> Vec<u8> {
    let mut functions = FUNC_INFO_BYTES.to_le_bytes().to_vec();
    let mut lines = LINE_INFO_BYTES.to_le_bytes().to_vec();
    for section in sections {
        put(&mut functions, &[section.name, section.functions.len() as u32]);
        section.functions.iter().for_each(|(offset, function)| put(&mut functions, &[*offset, function.0]));
        put(&mut lines, &[section.name, section.lines.len() as u32]);
        for line in &section.lines {
            let place = (line.line << 10) | line.column.min(COLUMN_MAX);
            put(&mut lines, &[line.offset, line.file, line.text, place]);
        }
    }
    let (function_bytes, line_bytes) = (functions.len() as u32, lines.len() as u32);
    let mut bytes = header();
    put(&mut bytes, &[EXT_HEADER_BYTES, 0, function_bytes, function_bytes, line_bytes]);
    bytes.extend(functions);
    bytes.extend(lines);
    bytes
}

fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    bytes.extend([VERSION, 0]); // no flags
    bytes
}

fn put(bytes: &mut Vec<u8>, words: &[u32]) {
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}
