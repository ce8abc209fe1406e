//! Programs and callbacks out of an object: what [`write_object`](crate::write_object) wrote.

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationTarget, Result, SectionIndex, SymbolKind};

use crate::bpf::encode::SLOT_BYTES;

/// A program or callback as it stands in an object.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectProgram<'data> {
    /// Its symbol.
    pub symbol: &'data str,
    /// Its section.
    pub section: &'data str,
    /// Bytes from the section's start.
    pub start: u64,
    /// Its instruction slots.
    pub bytes: &'data [u8],
    /// The slots that take an address, and the symbol (or section) whose address it is.
    pub addresses: Vec<(usize, &'data str)>,
}

/// All programs and callbacks of `object`, section after section.
///
/// # Errors
/// It is not an ELF object of the kind that the compiler writes.
pub fn read_programs(object: &[u8]) -> Result<Vec<ObjectProgram<'_>>> {
    let file = ElfFile64::<LittleEndian>::parse(object)?;
    let mut programs = Vec::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
        if let Some(section) = symbol.section_index() {
            programs.push(read_program(&file, &symbol, section)?);
        }
    }
    Ok(programs)
}

fn read_program<'data>(
    file: &ElfFile64<'data, LittleEndian>,
    symbol: &impl ObjectSymbol<'data>,
    section: SectionIndex,
) -> Result<ObjectProgram<'data>> {
    let section = file.section_by_index(section)?;
    let (start, end) = (symbol.address(), symbol.address() + symbol.size());
    let bytes = section.data()?.get(start as usize..end as usize).unwrap_or_default();
    let mut addresses = Vec::new();
    for (offset, relocation) in section.relocations().filter(|(offset, _)| (start..end).contains(offset)) {
        let RelocationTarget::Symbol(target) = relocation.target() else { continue };
        let target = file.symbol_by_index(target)?;
        let name = match (target.kind(), target.section_index()) {
            (SymbolKind::Section, Some(section)) => file.section_by_index(section)?.name()?,
            _ => target.name()?,
        };
        addresses.push(((offset - start) as usize / SLOT_BYTES, name));
    }
    Ok(ObjectProgram { symbol: symbol.name()?, section: section.name()?, start, bytes, addresses })
}
