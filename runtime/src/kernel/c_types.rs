//! C's types by the kernel's BTF: what functions and raw tracepoints are called with, and what
//! structures hold.
//!
//! Typedefs and qualifiers are looked through. A structure that is only declared where it is
//! pointed to is taken to be the one that is defined elsewhere under its name. As everywhere in
//! the reader, damaged BTF gives fewer answers, never a panic and never an endless walk.

use std::collections::HashMap;

use pfscript_compiler::kernel::{KernelType, Signature, StructId, StructMember};

use super::btf::{Btf, CLASS_CALLER, EVENT_ARGS, Type, kind};

/// What precedes an event's name in the function that calls its probes.
const EVENT_CALLER: &str = "__traceiter_";
/// Deepest nesting of arrays and of members without names that is followed.
const MAX_DEPTH: usize = 16;
/// The most members of a structure, those of its members without names among them.
const MAX_MEMBERS: usize = 1 << 14;

/// A declaration that is no definition: its flag says that it is one of a union.
type Declared = (bool, Box<[u8]>);

/// The definition of each type that some place only declares, by the declaration's id.
pub type Definitions = HashMap<u32, u32>;

impl Btf {
    /// What the function `name` is called with and returns.
    pub fn signature(&self, name: &str) -> Option<Signature> {
        let (_, function) = self.find(kind::FUNC, "", name)?;
        let proto = self.proto(function.size_or_type)?;
        Some(Signature { params: self.params(&proto, &proto, 0), returns: self.kernel_type(proto.size_or_type) })
    }

    /// What the raw tracepoint `name` hands out: without the leading `void *__data`. The names are
    /// those of the function that calls the probes, and `arg0`, `arg1` where there is none.
    pub fn raw_tracepoint(&self, name: &str) -> Option<Signature> {
        let (_, args) = self.find(kind::TYPEDEF, EVENT_ARGS, name)?;
        let pointer = self.by_id(args.size_or_type).filter(|ty| ty.kind() == kind::PTR)?;
        let types = self.proto(pointer.size_or_type)?;
        let names = self.event_caller(name).filter(|names| names.rest.len() == types.rest.len()).unwrap_or(types);
        let params = self.params(&types, &names, 1);
        Some(Signature { params, returns: KernelType::Opaque { bytes: 0 } })
    }

    /// The structure or union `name`.
    pub fn structure(&self, name: &str) -> Option<StructId> {
        let found = self.find(kind::STRUCT, "", name).or_else(|| self.find(kind::UNION, "", name));
        found.map(|(id, _)| StructId(id))
    }

    /// The value of the constant `name` of an enumeration, the first that has it.
    pub fn enumerator(&self, name: &str) -> Option<i128> {
        self.walk().find_map(|(_, _, ty)| match ty.kind() {
            kind::ENUM => {
                let found = ty.groups::<2>().find(|&[name_off, _]| self.name_bytes(name_off) == name.as_bytes());
                found.map(|[_, value]| if ty.flag() { i128::from(value as i32) } else { i128::from(value) })
            }
            kind::ENUM64 => {
                let found = ty.groups::<3>().find(|&[name_off, ..]| self.name_bytes(name_off) == name.as_bytes());
                let value = found.map(|[_, low, high]| u64::from(high) << 32 | u64::from(low))?;
                Some(if ty.flag() { i128::from(value as i64) } else { i128::from(value) })
            }
            _ => None,
        })
    }

    /// The members of a structure or union in order of their offset; those of members without
    /// names stand among them.
    pub fn members(&self, id: StructId) -> Option<Vec<StructMember>> {
        let ty = self.resolve(id.0).filter(is_struct)?;
        let mut members = Vec::new();
        self.collect_members(&ty, 0, MAX_DEPTH, &mut members);
        members.sort_by_key(|member: &StructMember| member.offset);
        Some(members)
    }

    /// The names of all functions.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.walk().filter(|(_, _, ty)| ty.kind() == kind::FUNC).map(|(_, _, ty)| self.name(&ty))
    }

    /// The prototype of the function that calls the probes of `event`.
    fn event_caller(&self, event: &str) -> Option<Type<'_>> {
        let caller = self.find(kind::FUNC, EVENT_CALLER, event).or_else(|| self.find(kind::FUNC, CLASS_CALLER, event));
        self.proto(caller?.1.size_or_type)
    }

    fn proto(&self, id: u32) -> Option<Type<'_>> {
        self.by_id(id).filter(|ty| ty.kind() == kind::FUNC_PROTO)
    }

    /// Parameters with the types of one prototype and the names of another, from number `from` on;
    /// `...` is none.
    fn params(&self, types: &Type<'_>, names: &Type<'_>, from: usize) -> Vec<(String, KernelType)> {
        let pairs = types.groups::<2>().zip(names.groups::<2>()).skip(from).enumerate();
        let named = pairs.filter(|(_, ([_, type_id], _))| *type_id != 0).map(|(index, ([_, type_id], [name, _]))| {
            let name = self.text(name);
            let name = if name.is_empty() { format!("arg{index}") } else { name.to_owned() };
            (name, self.kernel_type(type_id))
        });
        named.collect()
    }

    /// The type `id` as scripts can use it.
    pub fn kernel_type(&self, id: u32) -> KernelType {
        self.type_at_depth(id, MAX_DEPTH)
    }

    fn type_at_depth(&self, id: u32, depth: usize) -> KernelType {
        let opaque = KernelType::Opaque { bytes: 0 };
        let Some((id, ty)) = self.resolve_with_id(id) else { return opaque };
        match ty.kind() {
            kind::INT => integer(ty.size_or_type, ty.word(0).is_some_and(|word| word >> 24 & 1 == 1)),
            kind::ENUM | kind::ENUM64 => integer(ty.size_or_type, ty.flag()),
            kind::PTR => self.pointer_to(ty.size_or_type),
            kind::STRUCT | kind::UNION => KernelType::Struct(StructId(id)),
            kind::ARRAY => match self.array(&ty) {
                Some((element, len)) if self.is_char(element) => KernelType::CharArray { len },
                array => array
                    .and_then(|array| self.array_type(array, depth))
                    .unwrap_or(KernelType::Opaque { bytes: self.size(id, MAX_DEPTH) }),
            },
            kind::FLOAT => KernelType::Opaque { bytes: ty.size_or_type },
            _ => opaque,
        }
    }

    /// An array of elements that have a size.
    fn array_type(&self, (element, len): (u32, u32), depth: usize) -> Option<KernelType> {
        let stride = self.size(element, depth);
        if stride == 0 || depth == 0 {
            return None;
        }
        Some(KernelType::Array { element: Box::new(self.type_at_depth(element, depth - 1)), stride, len })
    }

    fn pointer_to(&self, target: u32) -> KernelType {
        match self.resolve_with_id(target) {
            Some((id, ty)) if is_struct(&ty) => KernelType::StructPointer(StructId(id)),
            Some((id, ty)) if ty.kind() == kind::FWD => match self.definitions().get(&id) {
                Some(&id) => KernelType::StructPointer(StructId(id)),
                None => KernelType::Pointer,
            },
            Some((_, ty)) if ty.kind() == kind::INT && self.name(&ty) == "char" => KernelType::TextPointer,
            _ => KernelType::Pointer,
        }
    }

    /// Element type and number of elements.
    fn array(&self, ty: &Type<'_>) -> Option<(u32, u32)> {
        Some((ty.word(0)?, ty.word(2)?))
    }

    fn is_char(&self, id: u32) -> bool {
        self.resolve(id).is_some_and(|ty| ty.kind() == kind::INT && self.name(&ty) == "char")
    }

    /// Bytes of a type; 0 where that cannot be told.
    fn size(&self, id: u32, depth: usize) -> u32 {
        let Some(ty) = self.resolve(id).filter(|_| depth > 0) else { return 0 };
        match ty.kind() {
            kind::PTR => size_of::<usize>() as u32,
            kind::ARRAY => match self.array(&ty) {
                Some((element, len)) => self.size(element, depth - 1).saturating_mul(len),
                None => 0,
            },
            kind::INT | kind::ENUM | kind::ENUM64 | kind::STRUCT | kind::UNION | kind::FLOAT => ty.size_or_type,
            _ => 0,
        }
    }

    /// Appends the members of `ty`, which begins `base` bits from the outermost structure's start.
    fn collect_members(&self, ty: &Type<'_>, base: u32, depth: usize, members: &mut Vec<StructMember>) {
        for [name, type_id, place] in ty.groups::<3>() {
            if members.len() >= MAX_MEMBERS {
                return;
            }
            let (offset, width) = if ty.flag() { (place & 0x00ff_ffff, place >> 24) } else { (place, 0) };
            let bit = base.saturating_add(offset);
            let name = self.text(name);
            match self.resolve(type_id).filter(is_struct) {
                Some(inner) if name.is_empty() && depth > 0 => self.collect_members(&inner, bit, depth - 1, members),
                _ if name.is_empty() => {}
                _ => members.push(member(name, self.kernel_type(type_id), bit, width)),
            }
        }
    }

    /// Where the types are defined that are only declared somewhere: one walk, made when the first
    /// declaration is met.
    fn definitions(&self) -> &Definitions {
        self.definitions.get_or_init(|| {
            let declared = self.walk().filter(|(_, _, ty)| ty.kind() == kind::FWD);
            let mut wanted: HashMap<Declared, Vec<u32>> = HashMap::new();
            for (id, _, ty) in declared {
                wanted.entry((ty.flag(), self.name_bytes(ty.name_off).into())).or_default().push(id);
            }
            let mut found = Definitions::new();
            for (id, _, ty) in self.walk().filter(|(_, _, ty)| is_struct(ty)) {
                let name = (ty.kind() == kind::UNION, self.name_bytes(ty.name_off).into());
                found.extend(wanted.remove(&name).into_iter().flatten().map(|declaration| (declaration, id)));
            }
            found
        })
    }
}

fn is_struct(ty: &Type<'_>) -> bool {
    matches!(ty.kind(), kind::STRUCT | kind::UNION)
}

fn integer(bytes: u32, signed: bool) -> KernelType {
    match bytes {
        1 | 2 | 4 | 8 => KernelType::Int { bytes: bytes as u8, signed },
        _ => KernelType::Opaque { bytes },
    }
}

/// A member that begins at `bit`, being a bit field when `width` is not 0.
fn member(name: &str, ty: KernelType, bit: u32, width: u32) -> StructMember {
    let (offset, bits) = match &ty {
        KernelType::Int { bytes, .. } if width > 0 => {
            let unit = u32::from(*bytes) * 8;
            // In its own integer where it lies in one, as all but packed structures have it.
            let start = if bit % unit + width <= unit { bit / unit * unit } else { bit / 8 * 8 };
            (start / 8, Some(((bit - start) as u8, width as u8)))
        }
        _ => (bit / 8, None),
    };
    StructMember { name: name.to_owned(), offset, ty, bits }
}

#[cfg(test)]
mod tests {
    use super::super::btf::tests::Writer;
    use super::*;

    const INT: KernelType = KernelType::Int { bytes: 4, signed: true };

    #[test]
    fn constants_of_enumerations_have_their_sign() {
        let mut btf = Writer::new();
        let names = ["UP", "DOWN", "FAR", "BACK"].map(|name| btf.string(name));
        btf.add("plain", kind::ENUM << 24 | 1, 4, &[names[0], u32::MAX]);
        btf.add("signed", 1 << 31 | kind::ENUM << 24 | 1, 4, &[names[1], u32::MAX]);
        btf.add("wide", kind::ENUM64 << 24 | 2, 8, &[names[2], 1, u32::MAX, names[0], 7, 7]);
        btf.add("back", 1 << 31 | kind::ENUM64 << 24 | 1, 8, &[names[3], u32::MAX - 1, u32::MAX]);
        let btf = Btf::parse(btf.finish()).expect("well formed");
        let found = ["UP", "DOWN", "FAR", "BACK", "plain"].map(|name| btf.enumerator(name));
        assert_eq!(found, [Some(0xffff_ffff), Some(-1), Some(0xffff_ffff_0000_0001), Some(-2), None]);
    }

    fn sample() -> Vec<u8> {
        let mut btf = Writer::new();
        btf.add("int", kind::INT << 24, 4, &[1 << 24 | 32]); // 1
        btf.add("char", kind::INT << 24, 1, &[8]); // 2
        btf.add("", kind::CONST << 24, 2, &[]); // 3
        btf.add("", kind::PTR << 24, 3, &[]); // 4: const char *
        btf.add("demo", kind::FWD << 24, 0, &[]); // 5
        btf.add("demo_t", kind::TYPEDEF << 24, 5, &[]); // 6
        btf.add("", kind::PTR << 24, 6, &[]); // 7: demo_t *
        btf.add("", kind::ARRAY << 24, 0, &[2, 1, 16]); // 8: char[16]
        btf.add("", kind::ARRAY << 24, 0, &[1, 1, 3]); // 9: int[3]
        let [a, b] = ["a", "b"].map(|name| btf.string(name));
        btf.add("", kind::UNION << 24 | 2, 4, &[a, 1, 0, b, 1, 0]); // 10
        let names = ["next", "text", "comm", "numbers", "low", "high"].map(|name| btf.string(name));
        let [next, text, comm, numbers, low, high] = names;
        let members = [
            [next, 7, 0],
            [text, 4, 64],
            [comm, 8, 128],
            [numbers, 9, 256],
            [0, 10, 352],
            [low, 1, 3 << 24 | 384],
            [high, 1, 5 << 24 | 390],
        ];
        btf.add("demo", 1 << 31 | kind::STRUCT << 24 | 7, 56, members.as_flattened()); // 11
        btf.add("", kind::PTR << 24, 0, &[]); // 12: void *
        let [data, it, len] = ["__data", "it", "len"].map(|name| btf.string(name));
        btf.add("", kind::FUNC_PROTO << 24 | 3, 0, &[data, 12, it, 7, len, 1]); // 13
        btf.add("__traceiter_named", kind::FUNC << 24, 13, &[]); // 14
        btf.add("", kind::FUNC_PROTO << 24 | 3, 0, &[0, 12, 0, 7, 0, 1]); // 15
        btf.add("", kind::PTR << 24, 15, &[]); // 16
        btf.add("btf_trace_named", kind::TYPEDEF << 24, 16, &[]); // 17
        btf.add("btf_trace_nameless", kind::TYPEDEF << 24, 16, &[]); // 18
        btf.add("", kind::FUNC_PROTO << 24 | 2, 1, &[it, 7, 0, 0]); // 19: int (demo_t *it, ...)
        btf.add("variadic", kind::FUNC << 24, 19, &[]); // 20
        btf.finish()
    }

    fn params(signature: &Signature) -> Vec<(&str, KernelType)> {
        signature.params.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect()
    }

    #[test]
    fn signatures_have_names_and_types() {
        let btf = Btf::parse(sample()).expect("well formed");
        let demo = KernelType::StructPointer(StructId(11));
        let variadic = btf.signature("variadic").expect("is there");
        assert_eq!((params(&variadic), &variadic.returns), (vec![("it", demo.clone())], &INT));
        let named = btf.raw_tracepoint("named").expect("is there");
        assert_eq!(params(&named), [("it", demo.clone()), ("len", INT)]);
        let nameless = btf.raw_tracepoint("nameless").expect("is there");
        assert_eq!(params(&nameless), [("arg0", demo), ("arg1", INT)]);
        assert_eq!((btf.signature("stranger"), btf.raw_tracepoint("stranger")), (None, None));
    }

    #[test]
    fn members_lie_where_the_compiler_put_them() {
        let btf = Btf::parse(sample()).expect("well formed");
        let demo = btf.structure("demo").expect("is defined");
        let plain = |name: &str, offset, ty| StructMember { name: name.into(), offset, ty, bits: None };
        let expected = [
            plain("next", 0, KernelType::StructPointer(demo)),
            plain("text", 8, KernelType::TextPointer),
            plain("comm", 16, KernelType::CharArray { len: 16 }),
            plain("numbers", 32, KernelType::Array { element: Box::new(INT), stride: 4, len: 3 }),
            plain("a", 44, INT),
            plain("b", 44, INT),
            StructMember { bits: Some((0, 3)), ..plain("low", 48, INT) },
            StructMember { bits: Some((6, 5)), ..plain("high", 48, INT) },
        ];
        assert_eq!(btf.members(demo).expect("is a structure"), expected);
        assert_eq!(btf.members(StructId(1)), None);
    }

    #[test]
    fn a_packed_bit_field_is_found_from_its_byte() {
        let packed = member("x", INT, 30, 4);
        assert_eq!((packed.offset, packed.bits), (3, Some((6, 4))));
    }

    #[test]
    fn damage_gives_no_answer_and_no_panic() {
        let good = sample();
        for at in 0..good.len() {
            for value in [0, 1, 0x0b, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                ask_everything(bad);
            }
            ask_everything(good[..at].to_vec());
        }
    }

    fn ask_everything(bytes: Vec<u8>) {
        let Some(btf) = Btf::parse(bytes) else { return };
        let _ = (btf.signature("variadic"), btf.raw_tracepoint("named"), btf.structure("demo"));
        for id in 0..32 {
            let _ = (btf.members(StructId(id)), btf.kernel_type(id));
        }
    }

    /// A structure in itself, which C cannot have, ends.
    #[test]
    fn a_structure_in_itself_is_given_up() {
        let mut writer = Writer::new();
        writer.add("loop", kind::STRUCT << 24 | 2, 4, &[0, 1, 0, 0, 1, 0]);
        let btf = Btf::parse(writer.finish()).expect("well formed");
        assert_eq!(btf.members(StructId(1)), Some(Vec::new()));
    }
}
