//! Stacks as programs report them: a number in one of the kernel's stack trace maps, shown as names; and
//! single addresses, which are shown by the name alone.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;

use pfscript_compiler::manifest::{DataType, FieldPlace, Manifest, MapInfo, MapValue, StackNotation, StackShape};

use super::processes::Processes;
use super::{Address, Frame, Names};
use crate::output::text::push_escaped;
use crate::sys::map::OwnedMap;

/// Names the frames of stacks, innermost first.
#[derive(Default)]
pub struct Stacks {
    /// By how deep the stacks in them are.
    maps: HashMap<u32, OwnedMap>,
    /// Made when the first address is named.
    names: Option<Names>,
    processes: Processes,
}

impl Stacks {
    /// The stacks in `maps`, by their depth. When the manifest has addresses in processes, what processes map is
    /// watched from now on.
    ///
    /// # Errors
    /// The online CPUs are not to be learnt.
    pub fn new(maps: HashMap<u32, OwnedMap>, manifest: &Manifest) -> io::Result<Self> {
        let processes = if has_user_addresses(manifest) {
            let cpus = aya::util::online_cpus()
                .map_err(|(path, error)| io::Error::new(error.kind(), format!("{path}: {error}")))?;
            Processes::watched(&cpus)
        } else {
            Processes::default()
        };
        Ok(Self { maps, names: None, processes })
    }

    /// Takes in what processes have mapped meanwhile; to be called at each drain of the buffers.
    pub fn look_again(&mut self) {
        self.processes.look_again();
    }

    /// The frames of the kernel stack `number`; none when that is no stack or one no longer there.
    pub fn kernel(&mut self, number: i64, shape: StackShape) -> Vec<Frame> {
        let addresses = self.addresses(number, shape.depth);
        let names = self.names.get_or_insert_default();
        let frame = |address| written(address, shape.notation, || names.of_kernel(address));
        addresses.into_iter().map(frame).collect()
    }

    /// The frames of the stack `number` of the process `pid`.
    pub fn user(&mut self, number: i64, pid: u32, shape: StackShape) -> Vec<Frame> {
        let addresses = self.addresses(number, shape.depth);
        let names = self.names.get_or_insert_default();
        let processes = &mut self.processes;
        let mut named = |address| {
            let name = processes.name(names, pid, address);
            match processes.file(pid, address) {
                Some(file) if shape.notation == StackNotation::Perf => format!("{name} ({file})").into(),
                _ => name,
            }
        };
        addresses.into_iter().map(|address| written(address, shape.notation, || named(address))).collect()
    }

    /// The name of an address in the kernel, without an offset.
    pub fn kernel_symbol(&mut self, value: u64) -> Frame {
        let names = self.names.get_or_insert_default();
        name_alone(&names.of_kernel(Address { value, is_return: false }))
    }

    /// The name of an address in the process `pid`, without an offset.
    pub fn user_symbol(&mut self, value: u64, pid: u32) -> Frame {
        let names = self.names.get_or_insert_default();
        name_alone(&self.processes.name(names, pid, Address { value, is_return: false }))
    }

    fn addresses(&self, number: i64, depth: u32) -> Vec<Address> {
        let (Some(map), Ok(id)) = (self.maps.get(&depth), u32::try_from(number - 1)) else { return Vec::new() };
        let raw = map.raw();
        let mut bytes = vec![0; raw.value_size()];
        // A stack that cannot be read is one without frames.
        if raw.key_size() != size_of_val(&id) || !raw.lookup(&id.to_ne_bytes(), &mut bytes).unwrap_or(false) {
            return Vec::new();
        }
        frames(&bytes)
    }
}

/// The addresses up to the first that is 0. All but the innermost are where calls return to.
fn frames(bytes: &[u8]) -> Vec<Address> {
    let words = bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_ne_bytes));
    let addresses = words.take_while(|&value| value != 0).enumerate();
    addresses.map(|(index, value)| Address { value, is_return: index > 0 }).collect()
}

fn written(address: Address, notation: StackNotation, name: impl FnOnce() -> Frame) -> Frame {
    match notation {
        StackNotation::Name => name(),
        StackNotation::Perf => format!("{:x} {}", address.value, name()).into(),
        StackNotation::Raw => format!("{:x}", address.value).into(),
    }
}

/// The name in `name+offset`; of what has no name the address. No name begins with a digit.
fn name_alone(frame: &Frame) -> Frame {
    let end = if frame.starts_with("0x") { frame.find(' ') } else { frame.rfind('+') };
    frame[..end.unwrap_or(frame.len())].into()
}

/// What a frame is called where many are put together: the function, or else the file in brackets.
pub fn label(frame: &str) -> Cow<'_, str> {
    if !frame.starts_with("0x") {
        return frame[..frame.rfind('+').unwrap_or(frame.len())].into();
    }
    let place = frame.split_once(' ').map_or("[unknown]", |(_, place)| place);
    place.rsplit_once("+0x").map_or(place.into(), |(file, _)| format!("{file}]").into())
}

fn has_user_addresses(manifest: &Manifest) -> bool {
    let in_records = manifest.records.iter().flat_map(|record| &record.fields).any(|field| match &field.place {
        FieldPlace::At { ty, .. } => is_user_address(ty),
        _ => false,
    });
    let in_map = |map: &MapInfo| {
        let in_value = matches!(&map.value, MapValue::Data(ty) if is_user_address(ty));
        in_value || map.key.iter().any(|member| is_user_address(&member.ty))
    };
    in_records || manifest.maps.iter().any(in_map)
}

fn is_user_address(ty: &DataType) -> bool {
    match ty {
        DataType::UserStack(_) | DataType::UserSymbol => true,
        DataType::Tuple(members) => members.iter().any(|member| is_user_address(&member.ty)),
        _ => false,
    }
}

/// Appends frames as bpftrace prints them: a line each, indented, after a line's end.
pub fn push_lines(out: &mut Vec<u8>, frames: &[Frame]) {
    if !frames.is_empty() {
        out.push(b'\n');
    }
    for frame in frames {
        out.extend_from_slice(b"    ");
        push_frame(out, frame);
        out.push(b'\n');
    }
}

/// Appends frames in one line, separated by `;`.
pub fn push_in_line(out: &mut Vec<u8>, frames: &[Frame]) {
    for (index, frame) in frames.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"" } else { b";" });
        push_frame(out, frame);
    }
}

/// Anybody's file may say what its functions are called: what is no plain text is escaped.
fn push_frame(out: &mut Vec<u8>, frame: &Frame) {
    push_escaped(out, frame.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use pfscript_compiler::manifest::{Action, RecordField, RecordLayout};

    const SHAPE: StackShape = StackShape { depth: 5, notation: StackNotation::Name };

    #[test]
    fn a_stack_ends_at_the_first_zero() {
        let bytes = [5_u64, 7, 0, 9].map(u64::to_ne_bytes).concat();
        let expected = [Address { value: 5, is_return: false }, Address { value: 7, is_return: true }];
        assert_eq!(frames(&bytes), expected);
    }

    #[test]
    fn frames_stand_in_lines_or_in_one() {
        let frames: Vec<Frame> = vec!["a+1".into(), "b\x1b+2".into()];
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        push_lines(&mut lines, &frames);
        push_in_line(&mut line, &frames);
        assert_eq!(lines, b"\n    a+1\n    b\\x1b+2\n");
        assert_eq!(line, b"a+1;b\\x1b+2");
        lines.clear();
        push_lines(&mut lines, &[]);
        assert_eq!(lines, b"");
    }

    #[test]
    fn symbols_stand_without_their_offset() {
        let alone = |frame: &str| name_alone(&frame.into()).to_string();
        assert_eq!(alone("do_exit+12"), "do_exit");
        assert_eq!(alone("V::operator+(int)+0"), "V::operator+(int)");
        assert_eq!(alone("0x10 [unknown]"), "0x10");
        assert_eq!(alone("0xffffffff81000000"), "0xffffffff81000000");
    }

    #[test]
    fn labels_stand_without_places() {
        assert_eq!(label("do_exit+12"), "do_exit");
        assert_eq!(label("V::operator+(int)+0"), "V::operator+(int)");
        assert_eq!(label("0x10 [unknown]"), "[unknown]");
        assert_eq!(label("0xffffffff81000000"), "[unknown]");
        assert_eq!(label("0x7f00 [libstdc++.so.6+0x1f]"), "[libstdc++.so.6]");
    }

    #[test]
    fn processes_are_watched_for_their_addresses_only() {
        let manifest = |ty| {
            let field = RecordField { name: String::new(), place: FieldPlace::At { offset: 16, ty } };
            let record = RecordLayout {
                size: 32,
                action: Action::Emit { sequence: None },
                fields: vec![field],
                span: pfscript_grammar::Span::default(),
            };
            Manifest { records: vec![record], ..Manifest::default() }
        };
        assert!(has_user_addresses(&manifest(DataType::UserStack(SHAPE))));
        assert!(has_user_addresses(&manifest(DataType::UserSymbol)));
        assert!(!has_user_addresses(&manifest(DataType::KernelStack(SHAPE))));
    }
}
