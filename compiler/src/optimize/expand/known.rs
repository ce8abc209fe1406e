//! Elements that this run has looked up already: the address serves again, and where it is known
//! not to be null the test is saved too.
//!
//! Only of maps from which the script never removes anything. The kernel may use a removed
//! element's memory for another key at once, so an address is good for as long as its element is.
//!
//! And only while it pays: an address that waits takes a register or 8 bytes of stack.

use rustc_hash::FxHashSet;

use super::Expander;
use crate::catalog::helpers::Helper;
use crate::ir::{Block, Function, InstData, Value, Values};
use crate::manifest::MapRef;

/// An address serves until so many others were noted.
const RECENT: u32 = 16;

/// A map and the parts of a key.
pub(super) type ElementKey = (MapRef, Values);

/// The address of an element.
#[derive(Clone, Copy)]
pub(super) enum Address {
    /// Of an element that is there.
    Found(Value),
    /// As the look-up gave it: null when there was none.
    Unproved(Value),
}

/// The maps of which a function may make elements.
pub(super) struct Makers {
    maps: FxHashSet<MapRef>,
    /// A loop over a map may make any.
    has_loops: bool,
}

impl Makers {
    pub(super) fn of(func: &Function, layout: &[Block]) -> Self {
        let mut makers = Self { maps: FxHashSet::default(), has_loops: false };
        for &inst in layout.iter().flat_map(|&block| &func.blocks[block].insts) {
            match func.insts[inst].data {
                InstData::MapStore { map, .. }
                | InstData::MapFetchAdd { map, .. }
                | InstData::MapAggregate { map, .. } => _ = makers.maps.insert(map),
                InstData::Call { helper: Helper::ForEachMapElem, .. } => makers.has_loops = true,
                _ => {}
            }
        }
        makers
    }

    pub(super) fn make(&self, map: MapRef) -> bool {
        self.has_loops || self.maps.contains(&map)
    }
}

impl Expander<'_> {
    /// The address of the element, if a look-up on every path to here has given it.
    pub(super) fn known(&mut self, map: MapRef, key: &[Value]) -> Option<Address> {
        let element = (map, key.into());
        let noted = self.noted_elements;
        let recent = self.elements.find(&element, self.origin).filter(|&&(_, number)| noted - number < RECENT);
        recent.map(|&(address, _)| address).max_by_key(|address| matches!(address, Address::Found(_)))
    }

    /// Notes the address for those that come later.
    pub(super) fn note_element(&mut self, map: MapRef, key: &[Value], address: Address) {
        if self.tables.keeps_elements(map) {
            self.noted_elements += 1;
            self.elements.note((map, key.into()), self.origin, (address, self.noted_elements));
        }
    }
}
