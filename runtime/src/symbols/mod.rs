//! Names of addresses, and addresses of names: the only place that knows blazesym.
//!
//! Nothing is read before it is asked for. Addresses of the kernel are named by /proc/kallsyms.
//! An address of a process is a place in a file that is mapped there, and the file's symbols name
//! it; where it is mapped is learnt while the process lives (see [`processes`]), so that stacks of
//! processes that have ended are still named.

mod ld_cache;
mod mappings;
pub mod processes;
pub mod programs;
pub mod stacks;
pub mod users;
mod watch;

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use blazesym::MaybeDefault;
use blazesym::symbolize::source::{Elf, Kernel, Source};
use blazesym::symbolize::{Input, Symbolizer};

/// A name of an address: `handle_mm_fault+12`.
pub type Frame = Rc<str>;

/// Names addresses; files are read once.
pub struct Names {
    symbolizer: Symbolizer,
    kernel: Source<'static>,
    of_kernel: HashMap<u64, Frame>,
    in_files: HashMap<Rc<Path>, HashMap<u64, Option<Frame>>>,
}

impl Names {
    /// Knows nothing yet.
    pub fn new() -> Self {
        // Inlined functions and source lines would take debug information, which is large.
        let symbolizer = Symbolizer::builder().enable_code_info(false).enable_inlined_fns(false).build();
        let mut kernel = Kernel::default();
        (kernel.vmlinux, kernel.debug_syms) = (MaybeDefault::None, false);
        let kernel = Source::Kernel(kernel);
        Self { symbolizer, kernel, of_kernel: HashMap::new(), in_files: HashMap::new() }
    }

    /// The name of an address in the kernel.
    pub fn of_kernel(&mut self, address: Address) -> Frame {
        let named = self.of_kernel.entry(address.value).or_insert_with(|| {
            let found = symbol(&self.symbolizer, &self.kernel, address, Input::AbsAddr(address.inside()));
            found.unwrap_or_else(|| format!("{:#x}", address.value).into())
        });
        Rc::clone(named)
    }

    /// The name of a place in a program or library, given in bytes from the file's start.
    pub fn in_file(&mut self, path: &Rc<Path>, offset: Address) -> Option<Frame> {
        let named = self.in_files.entry(Rc::clone(path)).or_default();
        let named = named.entry(offset.value).or_insert_with(|| {
            let mut elf = Elf::new(path.as_ref());
            elf.debug_syms = false;
            symbol(&self.symbolizer, &Source::Elf(elf), offset, Input::FileOffset(offset.inside()))
        });
        named.clone()
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// An address in a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address itself.
    pub value: u64,
    /// Whether it is where a call returns to: that may be the first address of the next function
    /// when the called one never returns.
    pub is_return: bool,
}

impl Address {
    /// An address in the same instruction or the call before it.
    fn inside(self) -> u64 {
        self.value.saturating_sub(self.is_return.into())
    }
}

fn symbol(symbolizer: &Symbolizer, source: &Source<'_>, address: Address, input: Input<u64>) -> Option<Frame> {
    let found = symbolizer.symbolize_single(source, input).ok()?.into_sym()?;
    let offset = found.offset as u64 + (address.value - address.inside());
    Some(format!("{}+{offset}", found.name).into())
}
